//! An injection as a policy names it.

use serde::{Deserialize, Serialize};

/// One entry of an `InjectionPolicy`'s `inject`, such as `{vaultToken: {expirationSeconds: 600}}`. What is not given comes from the
/// settings. The variants stand in the order in which they are applied, whatever the policy's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// No token for the Kubernetes API.
    AutomountOff {},
    /// A token of an hour for the Kubernetes API, in place of the ServiceAccount plugin's.
    KubeApiToken {},
    /// A projected token for Vault.
    VaultToken {
        /// Its audience.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        /// Its lifetime; the API server refuses less than 600.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expiration_seconds: Option<i64>,
        /// The directory it is mounted at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mount_path: Option<String>,
    },
    /// A Vault or OpenBao agent that logs in as the workload and renders its secrets.
    VaultAgent {
        /// Which containers are added; unset: by the pod's annotation, else by its class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<AgentMode>,
    },
    /// Secrets of Vault by the Secrets Store CSI driver.
    VaultCsi {
        /// The `SecretProviderClass`; `{namespace}` and `{serviceAccount}` are the pod's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret_provider_class: Option<String>,
        /// The directory it is mounted at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mount_path: Option<String>,
    },
    /// The SPIFFE Workload API by CSI volume.
    SpiffeCsi {},
    /// The SPIFFE ID to expect, as an annotation.
    SpiffeId {},
    /// A request to the mesh, on a pod or its Namespace.
    MeshInject {},
    /// A lifetime of an hour for the tokens that AWS's webhook injects, on a ServiceAccount.
    AwsTokenTtl {},
    /// What was injected for which request, as annotations.
    Stamp {},
}

/// Which agent containers a pod gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// One that runs once before the pod's own containers.
    Init,
    /// That one, and one that stays and renews.
    Sidecar,
    /// None: the secrets come by the Secrets Store CSI driver (injection `vault-csi`).
    Csi,
}

impl Step {
    /// The id in the injection catalogue: file name, label of the namespace, metric label.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::AutomountOff {} => "automount-off",
            Self::KubeApiToken {} => "kube-api-token",
            Self::VaultToken { .. } => "vault-token",
            Self::VaultAgent { .. } => "vault-agent",
            Self::VaultCsi { .. } => "vault-csi",
            Self::SpiffeCsi {} => "spiffe-csi",
            Self::SpiffeId {} => "spiffe-id",
            Self::MeshInject {} => "mesh-inject",
            Self::AwsTokenTtl {} => "aws-token-ttl",
            Self::Stamp {} => "stamp",
        }
    }

    /// The resources of the core group that it changes.
    #[must_use]
    pub fn resources(&self) -> &'static [&'static str] {
        match self {
            Self::MeshInject {} => &["namespaces", "pods"],
            Self::AwsTokenTtl {} => &["serviceaccounts"],
            _ => &["pods"],
        }
    }

    /// Makes one step of two with the same id, so that the order of the policies they come from does not matter: the lesser of
    /// two values that are both given.
    #[must_use]
    pub(super) fn merged(self, other: &Self) -> Self {
        match (self, other) {
            (
                Self::VaultToken { audience, expiration_seconds, mount_path },
                Self::VaultToken { audience: audience2, expiration_seconds: seconds2, mount_path: path2 },
            ) => Self::VaultToken {
                audience: least(audience, audience2.clone()),
                expiration_seconds: least(expiration_seconds, *seconds2),
                mount_path: least(mount_path, path2.clone()),
            },
            (Self::VaultCsi { secret_provider_class, mount_path }, Self::VaultCsi { secret_provider_class: class2, mount_path: path2 }) => {
                Self::VaultCsi {
                    secret_provider_class: least(secret_provider_class, class2.clone()),
                    mount_path: least(mount_path, path2.clone()),
                }
            }
            (Self::VaultAgent { mode }, Self::VaultAgent { mode: mode2 }) => Self::VaultAgent { mode: least(mode, *mode2) },
            (step, _) => step,
        }
    }
}

fn least<T: Ord>(left: Option<T>, right: Option<T>) -> Option<T> {
    [left, right].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    #[test]
    fn reads_what_a_policy_writes() {
        let text = r#"[{"automountOff":{}},{"vaultToken":{"expirationSeconds":600}},{"vaultAgent":{"mode":"init"}},{"spiffeCsi":{}}]"#;
        let steps: Vec<Step> = Object::from_json(text).unwrap().root().read().unwrap();
        assert_eq!(
            steps,
            [
                Step::AutomountOff {},
                Step::VaultToken { audience: None, expiration_seconds: Some(600), mount_path: None },
                Step::VaultAgent { mode: Some(AgentMode::Init) },
                Step::SpiffeCsi {},
            ]
        );
        assert_eq!(serde_json::to_string(&steps).unwrap(), text);
        assert_eq!(steps.iter().map(Step::id).collect::<Vec<_>>(), ["automount-off", "vault-token", "vault-agent", "spiffe-csi"]);
    }

    #[test]
    fn an_unknown_field_is_named() {
        for (text, message) in [
            (r#"{"vaultToken":{"ttl":600}}"#, "unknown field `ttl`, expected one of `audience`, `expirationSeconds`, `mountPath`"),
            (r#"{"automountOff":{"x":1}}"#, "unknown field `x`, there are no fields"),
            (r#"{"vaultTokens":{}}"#, "unknown variant `vaultTokens`, expected one of `automountOff`"),
            (r#"{"vaultAgent":{"mode":"env"}}"#, "unknown variant `env`, expected one of `init`, `sidecar`, `csi`"),
        ] {
            let error = Object::from_json(text).unwrap().root().read::<Step>().unwrap_err();
            assert!(error.message.starts_with(message), "{error}");
        }
    }

    #[test]
    fn two_policies_give_one_step_in_any_order() {
        let left = Step::VaultToken { audience: None, expiration_seconds: Some(600), mount_path: Some("/a".into()) };
        let right = Step::VaultToken { audience: Some("vault".into()), expiration_seconds: Some(900), mount_path: Some("/b".into()) };
        let merged = Step::VaultToken { audience: Some("vault".into()), expiration_seconds: Some(600), mount_path: Some("/a".into()) };
        assert_eq!(left.clone().merged(&right), merged);
        assert_eq!(right.merged(&left), merged);
    }
}
