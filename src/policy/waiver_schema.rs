//! `IdentityWaiver` of `doorward.dev/v1alpha1`, as it is written in files and in the cluster.

use serde::{Deserialize, Serialize};

/// An exception treated as a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityWaiverSpec {
    /// Rule ids, exact.
    pub rules: Vec<String>,
    /// Who is waived.
    pub subject: WaiverSubject,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Where it was agreed.
    pub ticket: String,
    /// When it ends, as RFC 3339; at most `waiver.maxDays` ahead.
    pub expires_at: String,
}

/// What our own webhooks write on a waiver in the cluster; whatever its author writes there is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityWaiverStatus {
    /// Who made it, or asked for it to be renewed last.
    #[serde(default)]
    pub requested_by: String,
    /// Everybody who asked for it, its maker and each who had it renewed: none of them can approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// Who approved it; without an approval it lifts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<String>,
    /// Until when it lifts what it was approved for, as RFC 3339: while a renewal waits for its approval, this end still holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_until: Option<String>,
    /// How often it was renewed.
    #[serde(default)]
    pub renewals: i64,
    /// The very objects that it was approved for: a namespace made anew under the same name inherits nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "boundUIDs")]
    pub bound_uids: Option<BoundUids>,
}

/// Unique ids, as Kubernetes gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoundUids {
    /// Of the waiver itself.
    pub waiver: String,
    /// Of the Namespace; absent for a cluster-scoped object, which is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of the ServiceAccount, where the waiver names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// Who is waived: a ServiceAccount's pods, or one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaiverSubject {
    /// Namespace, exact; a Namespace object counts to itself. Absent: a cluster-scoped object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// ServiceAccount, exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Object, exact. What makes pods is named by its `serviceAccount`: its pods are judged by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<WaivedObject>,
}

/// One object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaivedObject {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}
