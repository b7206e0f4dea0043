//! What injections looked like before: while new settings roll out, replicas of both sides see the same pods.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::parameters::{KubeApi, Settings, Vault};
use super::spiffe::Spiffe;

/// The settings before, as far as injections read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Previous {
    /// The former `vault`, whole: what is left out had its default.
    pub vault: Vault,
    /// The former `spiffe`, likewise.
    pub spiffe: Spiffe,
    /// The former `kubeApi`, likewise.
    pub kube_api: KubeApi,
    /// Settings with these in their place, made once.
    #[serde(skip)]
    whole: Option<Arc<Settings>>,
}

impl Settings {
    /// Makes the settings under which earlier pods were injected, once.
    pub(super) fn prepare(&mut self) {
        let Some(Previous { vault, spiffe, kube_api, .. }) = self.previous.as_deref().cloned() else { return };
        let whole = Arc::new(Self { vault, spiffe, kube_api, previous: None, ..self.clone() });
        if let Some(previous) = &mut self.previous {
            previous.whole = Some(whole);
        }
    }

    /// The settings under which earlier pods were injected, while those of today roll out.
    #[must_use]
    pub fn before(&self) -> Option<&Self> {
        self.previous.as_ref()?.whole.as_deref()
    }
}
