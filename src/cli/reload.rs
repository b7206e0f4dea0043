//! The files that a running server looks at again: policies, settings, waivers, the list of token Secrets. A bad one keeps the last
//! good set in force, loudly. A mounted ConfigMap changes by a symlink swap that file watches often miss, and reading a few small
//! files costs nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::sources::{ContextArgs, PolicyArgs, read, unseen};
use crate::manifest::InputError;
use crate::policy::{PolicySet, Release};
use crate::serve::{Door, Metrics, TokenSecrets};
use crate::settings::Settings;

/// What the files are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) policies: PolicyArgs,
    /// What may define the kinds that they judge.
    pub(super) context: ContextArgs,
    /// Settings to take without a settings file.
    pub(super) fallback: Option<Settings>,
    /// The list of token Secrets.
    pub(super) token_secrets: Option<PathBuf>,
    /// The release of the API server, once it is known.
    pub(super) release: Option<Release>,
}

impl Files {
    /// Reads everything.
    pub(super) fn load(&self) -> Result<(PolicySet, Option<TokenSecrets>), Vec<InputError>> {
        let set = self.policies.load_for(self.fallback.clone(), self.release)?;
        let unseen = unseen(&set);
        if !unseen.is_empty() {
            return Err(unseen);
        }
        let names = match &self.token_secrets {
            // Whoever lists the Secrets may not have done so yet; until then names are judged by their shape.
            Some(file) if !file.try_exists().unwrap_or(true) => None,
            Some(file) => {
                let text = read(file).map_err(|error| vec![error])?;
                Some(TokenSecrets::read(&text.name, &text.text).map_err(|error| vec![error])?)
            }
            None => None,
        };
        Ok((set, names))
    }

    /// What is doubtful about the policies that are in force.
    pub(super) fn doubts(&self) -> Vec<InputError> {
        self.policies.doubts(&self.context)
    }

    fn are_none(&self) -> bool {
        let PolicyArgs { policies, settings, waivers, .. } = &self.policies;
        policies.is_empty() && settings.is_none() && waivers.is_empty() && self.token_secrets.is_none()
    }

    /// Looks at them again every so often, for ever, and at where the waivers stand.
    pub(super) async fn watch(self, every: Duration, door: Arc<Door>, metrics: Arc<Metrics>) {
        let mut failed = String::new();
        loop {
            door.show_waivers().await;
            door.forget_namespaces();
            tokio::time::sleep(every).await;
            if self.are_none() {
                continue;
            }
            let files = self.clone();
            let Ok(loaded) = tokio::task::spawn_blocking(move || files.load()).await else { continue };
            match loaded {
                Ok((set, names)) => {
                    failed.clear();
                    if let Some(names) = names {
                        door.tell_token_secrets(names);
                    }
                    let before = door.policies();
                    if set.revision() != before.revision() {
                        tracing::info!(revision = set.revision(), before = before.revision(), "new policies are in force");
                        door.swap(set).await;
                        let files = self.clone();
                        for doubt in tokio::task::spawn_blocking(move || files.doubts()).await.unwrap_or_default() {
                            tracing::warn!(doubt = doubt.to_string(), "a policy that is in force is doubtful");
                        }
                    }
                }
                Err(errors) => {
                    let reason = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    if reason != failed {
                        metrics.policy_reload_failures.inc();
                        tracing::error!(reason, "the policies could not be loaded again; the set before stays in force");
                        failed = reason;
                    }
                }
            }
        }
    }
}
