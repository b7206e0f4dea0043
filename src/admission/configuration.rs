//! The webhook configurations, as a pure function of where Doorward runs and what its policies look at.
//!
//! Every property here keeps a cluster from locking itself out, or keeps a request from slipping past; `hardening` names the
//! measurements (B1 to B7, B12, B13, A24). The API server ignores `namespaceSelector` for cluster-scoped objects other than
//! Namespaces, so entries that hold such kinds rely on their match conditions alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::coverage::{Coverage, Operation, Rule, Shape};
use crate::policy::conditions::{
    Condition, NOT_MIRROR, OBJECT_CHANGED, OBJECT_UNCHANGED, POD_CHANGED, POD_UNCHANGED, TEMPLATE_CHANGED, TEMPLATE_UNCHANGED,
};

/// The name of both configurations. Mutating webhooks run in the order of their configurations' names, and Doorward must run
/// before the mesh's and Vault's injectors (hardening B18), so it is no setting.
pub const CONFIGURATION_NAME: &str = "doorward";

/// Where the server answers mutating reviews.
pub const MUTATE_PATH: &str = "/mutate";

/// Where the server answers validating reviews.
pub const VALIDATE_PATH: &str = "/validate";

/// Where the server answers validating reviews of what its own rules need not be asked: native policies judge them alone.
pub const VALIDATE_NATIVE_PATH: &str = "/validate-native";

/// Namespaces without which no node and no control plane starts.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// How the API server reaches Doorward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Through a Service of the cluster; the certificate must hold `<name>.<namespace>.svc`.
    Service {
        /// The Service's namespace.
        namespace: String,
        /// The Service's name.
        name: String,
        /// The Service's port.
        port: u16,
        /// Certificates that the API server shall trust, as PEM.
        ca_bundle_pem: String,
    },
    /// By URL: a server outside the cluster, or on the API server's own loopback.
    Url {
        /// Scheme, host and port, such as `https://127.0.0.1:8443`; the paths are added.
        base: String,
        /// Certificates that the API server shall trust, as PEM.
        ca_bundle_pem: String,
    },
}

/// What the API server does with a guarded request when Doorward does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Refuse it: the guard's own setting.
    #[default]
    Fail,
    /// Let it pass: while Doorward is paused by an operator, or being removed. Nothing else may choose this.
    Ignore,
}

/// Where Doorward runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// How the API server reaches it.
    pub target: Target,
    /// Its own namespace, always excluded: it could not start otherwise.
    pub own_namespace: String,
    /// Namespaces that must come up before Doorward can: network and storage drivers outside `kube-system`, and the source of its
    /// certificates (hardening B6).
    pub bootstrap_namespaces: Vec<String>,
    /// What the guard does when nobody answers.
    pub on_failure: OnFailure,
}

/// The `MutatingWebhookConfiguration` and the `ValidatingWebhookConfiguration`: same input, same bytes.
///
/// An entry holds the resources that some policy matches and is left out when there are none. The configurations name neither
/// `metadata.ownerReferences` nor a namespace: whoever applies them owns them whole.
#[must_use]
pub fn configurations(installation: &Installation, coverage: &Coverage) -> (Value, Value) {
    let rules = coverage.rules();
    let injected = [
        coverage.injects.contains("pods").then(|| mutating_entry(installation)),
        coverage.injects.contains("namespaces").then(|| asking_entry(installation, "namespaces", &[])),
        coverage.injects.contains("serviceaccounts").then(|| asking_entry(installation, "serviceaccounts", &[HAS_AWS_ROLE])),
    ];
    let waivers = rules.get(&Shape::Waivers).map(|rules| {
        let guard = Class::Guard(installation.on_failure);
        entry(installation, "waivers.record.doorward.dev", guard, MUTATE_PATH, rules, &[WAIVER_CHANGED])
    });
    let mutating: Vec<Value> = injected.into_iter().flatten().chain(waivers).collect();
    let validating: Vec<Value> = rules.into_iter().map(|(shape, rules)| validating_entry(installation, shape, &rules)).collect();
    (configuration("MutatingWebhookConfiguration", &mutating), configuration("ValidatingWebhookConfiguration", &validating))
}

fn configuration(kind: &str, webhooks: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": CONFIGURATION_NAME,
            "labels": { "app.kubernetes.io/name": "doorward", "app.kubernetes.io/managed-by": "doorward" },
        },
        "webhooks": webhooks,
    })
}

/// A new object of the core group.
fn created(resource: &str) -> Rule {
    Rule { group: String::new(), versions: vec!["v1".into()], resources: vec![resource.into()], operations: [Operation::Create].into() }
}

/// For objects that only ask others for something: nobody waits for us to make one.
fn asking_entry(installation: &Installation, resource: &str, conditions: &[Condition]) -> Value {
    let name = format!("{resource}.ask.doorward.dev");
    entry(installation, &name, Class::Watch, MUTATE_PATH, &[created(resource)], conditions)
}

fn mutating_entry(installation: &Installation) -> Value {
    let class = Class::Guard(installation.on_failure);
    let mut entry = entry(installation, "pods.inject.doorward.dev", class, MUTATE_PATH, &[created("pods")], &[NOT_MIRROR]);
    if let Some(fields) = entry.as_object_mut() {
        // Another webhook may add containers after us; we are asked once more, and add to them what they lack.
        fields.insert("reinvocationPolicy".into(), json!("IfNeeded"));
    }
    entry
}

fn validating_entry(installation: &Installation, shape: Shape, rules: &[Rule]) -> Value {
    let guard = Class::Guard(installation.on_failure);
    let (name, class, conditions): (_, _, &[Condition]) = match shape {
        Shape::Pods => ("pods.guard.doorward.dev", guard, &[NOT_MIRROR, POD_CHANGED]),
        Shape::Workloads => ("workloads.guard.doorward.dev", guard, &[TEMPLATE_CHANGED]),
        Shape::EphemeralContainers => ("ephemeralcontainers.guard.doorward.dev", guard, &[]),
        Shape::Tokens => ("tokens.guard.doorward.dev", guard, &[NOT_KUBELET]),
        Shape::Grants => ("grants.guard.doorward.dev", guard, &[NOT_THE_DEFAULT_ACCOUNT, OBJECT_CHANGED]),
        Shape::Finalized => ("finalize.guard.doorward.dev", guard, &[MARKS_CHANGED]),
        Shape::Waivers => ("waivers.guard.doorward.dev", guard, &[WAIVER_CHANGED]),
        Shape::LegacyTokens => ("legacytokens.guard.doorward.dev", guard, &[LEGACY_TOKEN, OBJECT_CHANGED]),
        Shape::Secrets => ("secrets.watch.doorward.dev", Class::Watch, &[NOT_LEGACY_TOKEN, OBJECT_CHANGED]),
        Shape::Operators => ("operators.watch.doorward.dev", Class::Watch, &[OBJECT_CHANGED]),
        // An outage keeps nothing from being deleted or scaled, whatever a native policy says.
        Shape::Deletions => ("deletions.watch.doorward.dev", Class::Watch, &[]),
        Shape::Connections => ("connections.watch.doorward.dev", Class::Watch, &[]),
        Shape::UnchangedPods => ("unchanged-pods.watch.doorward.dev", Class::Watch, &[NOT_MIRROR, POD_UNCHANGED]),
        Shape::UnchangedTemplates => ("unchanged-templates.watch.doorward.dev", Class::Watch, &[TEMPLATE_UNCHANGED]),
        Shape::UnchangedObjects => ("unchanged-objects.watch.doorward.dev", Class::Watch, &[OBJECT_UNCHANGED]),
    };
    let path = if shape.is_native() { VALIDATE_NATIVE_PATH } else { VALIDATE_PATH };
    entry(installation, name, class, path, rules, conditions)
}

/// What an outage of Doorward does to the requests of an entry.
#[derive(Clone, Copy)]
enum Class {
    /// They wait for it.
    Guard(OnFailure),
    /// They pass: certificates, operators and leader elections must not wait (hardening B5).
    Watch,
}

impl Class {
    /// `failurePolicy` and `timeoutSeconds`. The guard's time covers the API server's own retries of a 429 or 503 (hardening B3).
    fn patience(self) -> (&'static str, u8) {
        match self {
            Self::Guard(OnFailure::Fail) => ("Fail", 10),
            Self::Guard(OnFailure::Ignore) => ("Ignore", 10),
            Self::Watch => ("Ignore", 3),
        }
    }
}

/// What all entries share.
fn entry(installation: &Installation, name: &str, class: Class, path: &str, rules: &[Rule], conditions: &[Condition]) -> Value {
    let (failure_policy, seconds) = class.patience();
    let conditions: Vec<_> = std::iter::once(&NOT_API_SERVER)
        .chain(conditions)
        .map(|condition| json!({ "name": condition.name, "expression": condition.expression }))
        .collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "apiGroups": [rule.group],
                "apiVersions": rule.versions,
                "resources": rule.resources,
                "operations": rule.operations.iter().map(|operation| operation.word()).collect::<Vec<_>>(),
                "scope": "*",
            })
        })
        .collect();
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config(&installation.target, path),
        "failurePolicy": failure_policy,
        "matchConditions": conditions,
        "matchPolicy": "Equivalent",
        "namespaceSelector": namespace_selector(installation),
        "rules": rules,
        "sideEffects": "None",
        "timeoutSeconds": seconds,
    })
}

fn client_config(target: &Target, path: &str) -> Value {
    match target {
        Target::Service { namespace, name, port, ca_bundle_pem } => json!({
            "service": { "namespace": namespace, "name": name, "port": port, "path": path },
            "caBundle": BASE64.encode(ca_bundle_pem),
        }),
        Target::Url { base, ca_bundle_pem } => json!({
            "url": format!("{}{path}", base.trim_end_matches('/')),
            "caBundle": BASE64.encode(ca_bundle_pem),
        }),
    }
}

/// By the one label that the API server itself keeps true; any other label could be written by whoever wants out (hardening A24).
fn namespace_selector(installation: &Installation) -> Value {
    let bootstrap: std::collections::BTreeSet<&str> = installation.bootstrap_namespaces.iter().map(String::as_str).collect();
    let mut values = vec![installation.own_namespace.as_str()];
    for name in SYSTEM_NAMESPACES.into_iter().chain(bootstrap) {
        if !values.contains(&name) {
            values.push(name);
        }
    }
    json!({ "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": values }] })
}

/// The API server repairs its own RBAC objects while it starts, and is not ready before; it must not need us for that (B1).
const NOT_API_SERVER: Condition = Condition { name: "not-the-api-server", expression: "request.userInfo.username != 'system:apiserver'" };

/// A kubelet asks for the tokens that admitted pods declare; without them no container of the cluster starts (B13).
const NOT_KUBELET: Condition =
    Condition { name: "not-the-kubelet", expression: "!(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups)" };

/// Every namespace needs the ServiceAccount `default`, and its controller must not wait for us to make it (B2); no rule judges it.
const NOT_THE_DEFAULT_ACCOUNT: Condition = Condition {
    name: "not-the-default-account",
    expression: "!(request.resource.resource == 'serviceaccounts' && has(request.name) && request.name == 'default' && \
                 request.userInfo.username in ['system:serviceaccount:kube-system:service-account-controller', \
                 'system:kube-controller-manager'])",
};

/// A namespace that ends must not wait for us: the controller that ends it changes no label and no annotation.
const MARKS_CHANGED: Condition = Condition {
    name: "labels-or-annotations-changed",
    expression: "(has(object.metadata.labels) ? object.metadata.labels : {}) != \
                 (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}) || \
                 (has(object.metadata.annotations) ? object.metadata.annotations : {}) != \
                 (has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {})",
};

/// What a waiver says and who approved it; nothing else of it matters to anybody.
const WAIVER_CHANGED: Condition = Condition {
    name: "waiver-changed",
    expression: "request.operation != 'UPDATE' || object.spec != oldObject.spec || \
                 (has(object.status) ? object.status : {}) != (has(oldObject.status) ? oldObject.status : {})",
};

/// Without a role AWS's webhook injects nothing.
const HAS_AWS_ROLE: Condition = Condition {
    name: "has-an-aws-role",
    expression: "has(object.metadata.annotations) && 'eks.amazonaws.com/role-arn' in object.metadata.annotations",
};

const LEGACY_TOKEN: Condition =
    Condition { name: "a-service-account-token", expression: "has(object.type) && object.type == 'kubernetes.io/service-account-token'" };

const NOT_LEGACY_TOKEN: Condition = Condition {
    name: "not-a-service-account-token",
    expression: "!(has(object.type) && object.type == 'kubernetes.io/service-account-token')",
};

#[cfg(test)]
mod tests;
