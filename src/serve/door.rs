//! The door itself: bytes to a review, the review's facts, the decision, its record and metrics, bytes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::body::Bytes;
use http::StatusCode;

use super::decision_log::DecisionLog;
use super::gate::{Caller, Gate, Hook, Readiness, Reply};
use super::knowledge::{Knowledge, TokenSecrets};
use super::metrics::{Metrics, OTHER_NAMESPACES, UNVERIFIED};
use crate::admission::{self, Circumstances, Decision, Review};
use crate::object::Fact;
use crate::policy::{Certainty, Deadline, Limits, PolicySet, Source, Subject, WaiverState, waiver_states};

/// The webhook's own deadline: far below the API server's `timeoutSeconds: 10`, so that the answer can still say what was slow.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long new policies wait for the objects that they read.
const FILLING: Duration = Duration::from_secs(5);

/// What judges the reviews that arrive.
#[derive(Debug)]
pub struct Door {
    policies: ArcSwap<PolicySet>,
    token_secrets: ArcSwapOption<TokenSecrets>,
    knowledge: Knowledge,
    metrics: Arc<Metrics>,
    log: DecisionLog,
    /// Names of the waivers that lifted something since the start: no more than there are waivers.
    used_waivers: Mutex<BTreeSet<String>>,
}

impl Door {
    /// A door with these policies in force.
    #[must_use]
    pub fn new(policies: PolicySet, knowledge: Knowledge, metrics: Arc<Metrics>, log: DecisionLog) -> Self {
        let door = Self {
            policies: ArcSwap::from_pointee(policies),
            token_secrets: ArcSwapOption::empty(),
            knowledge,
            metrics,
            log,
            used_waivers: Mutex::default(),
        };
        door.knowledge.follow(&door.policies.load().related());
        door.show_policies();
        door
    }

    /// Puts another set in force as soon as what it reads beside its objects is known, and at the latest after a while: a rule that
    /// cannot know denies. Reviews that are being judged keep their set.
    pub async fn swap(&self, policies: PolicySet) {
        let related = policies.related();
        let both = self.policies.load().related().into_iter().chain(related.iter().cloned()).collect();
        self.knowledge.follow(&both);
        if tokio::time::timeout(FILLING, self.knowledge.related_ready()).await.is_err() {
            tracing::warn!("the objects that new policies read are not listed yet; their rules deny until they are");
        }
        self.policies.store(Arc::new(policies));
        self.knowledge.follow(&related);
        self.show_policies();
    }

    /// Tells the names of legacy token Secrets from now on.
    pub fn tell_token_secrets(&self, names: TokenSecrets) {
        self.token_secrets.store(Some(Arc::new(names)));
    }

    /// The set in force.
    #[must_use]
    pub fn policies(&self) -> Arc<PolicySet> {
        self.policies.load_full()
    }

    /// Drops the series of namespaces that are gone (hardening A42).
    pub fn forget_namespaces(&self) {
        for namespace in self.metrics.namespaces() {
            if self.knowledge.lacks_namespace(&namespace) {
                self.metrics.forget_namespace(&namespace);
            }
        }
    }

    fn show_policies(&self) {
        let set = self.policies.load();
        self.metrics.cap_namespaces(set.settings().metrics.max_namespaces);
        self.metrics.rule_info.reset();
        self.metrics.policies_loaded.reset();
        let source = |id: &str| set.source(id).map_or("unknown", crate::policy::PolicySource::word);
        for policy in set.policies() {
            let invariants = policy.invariants.join(",");
            self.metrics.rule_info.with_label_values(&[&*policy.id, policy.severity.word(), &invariants]).set(1);
            self.metrics.policies_loaded.with_label_values(&[policy.kind(), source(&policy.id)]).inc();
        }
        for policy in set.injections() {
            self.metrics.policies_loaded.with_label_values(&["InjectionPolicy", source(&policy.id)]).inc();
        }
    }

    /// Shows where the waivers stand. While those of the cluster are not known, what was shown stays.
    pub async fn show_waivers(&self) {
        let objects = match self.knowledge.waivers().await {
            Fact::Found(objects) => objects,
            Fact::Absent => Vec::new(),
            Fact::Unknown(_) => return,
        };
        let nodes: Vec<_> = objects.iter().map(|object| object.root()).collect();
        let set = self.policies.load();
        let mut counts: BTreeMap<WaiverState, i64> = WaiverState::ALL.map(|state| (state, 0)).into();
        {
            let used = self.used_waivers.lock().unwrap_or_else(PoisonError::into_inner);
            for state in waiver_states(set.waivers(), &nodes, &used, jiff::Timestamp::now().as_second()) {
                *counts.entry(state).or_default() += 1;
            }
        }
        for (state, count) in counts {
            self.metrics.waivers.with_label_values(&[state.word()]).set(count);
        }
    }

    async fn answer(&self, hook: Hook, review: &Review, caller: Caller) -> Decision {
        let started = Instant::now();
        let source = match hook {
            Hook::Mutate => Source::Mutating,
            Hook::Validate | Hook::ValidateNative => Source::Validating,
        };
        let subject = match review.subject(source) {
            Ok(subject) => subject,
            Err(error) => return Decision::malformed(&error),
        };
        let set = self.policies.load_full();
        let subject = subject.knowing(&set.settings().pod_templates);
        let past_deadline = || started.elapsed() > DEADLINE;
        let deadline = Deadline(&past_deadline);
        let learned = self.knowledge.learn(&set, &subject, deadline).await;
        let now = jiff::Timestamp::now();
        let token_secrets = self.token_secrets.load();
        let facts = learned.facts(subject.namespace, token_secrets.as_deref(), now.as_second(), deadline);
        let limits = Limits { only: None, native: hook == Hook::ValidateNative };
        let decision = admission::decide(&set, &subject, &facts, limits);
        let decision = if caller.verified { decision } else { decision.withholding(&subject, &facts) };
        let namespace = match &facts.namespace {
            _ if subject.namespace.is_empty() => "",
            _ if !caller.verified => UNVERIFIED,
            Fact::Found(_) => subject.namespace,
            // Anybody may write the name of a namespace that is not there (hardening A42).
            Fact::Absent | Fact::Unknown(_) => OTHER_NAMESPACES,
        };
        self.count(hook, &subject, &decision, namespace);
        let timestamp = now.to_string();
        let circumstances = Circumstances { timestamp: &timestamp, verified_caller: caller.verified, duration: started.elapsed() };
        self.log.record(admission::record(&set, &subject, &decision, circumstances)).await;
        decision
    }

    fn count(&self, hook: Hook, subject: &Subject<'_>, decision: &Decision, namespace: &str) {
        self.metrics.decisions.with_label_values(&[hook.label(), decision.word()]).inc();
        for violation in decision.verdict.counted() {
            self.metrics.violation(&violation.rule, violation.enforcement.word(), &subject.kind.kind, namespace);
            if violation.certainty == Certainty::Unknown {
                self.metrics.rule_unknown.with_label_values(&[&*violation.rule]).inc();
            }
        }
        for violation in &decision.verdict.violations {
            let Some(waiver) = violation.waiver() else { continue };
            self.metrics.waived_violations.with_label_values(&[&*violation.rule]).inc();
            self.used_waivers.lock().unwrap_or_else(PoisonError::into_inner).insert(waiver.to_owned());
        }
        if hook == Hook::Mutate {
            for state in &decision.injections {
                self.metrics.injections.with_label_values(&[state.id.as_str(), admission::injection_result(state)]).inc();
            }
        }
    }
}

impl Gate for Door {
    async fn review(&self, hook: Hook, body: Bytes, caller: Caller) -> Reply {
        let review = match admission::decode(body.into()) {
            Ok(review) => review,
            Err(error) => {
                tracing::warn!(peer = %caller.peer, hook = hook.label(), error = %error, "a body that is no review");
                let mut text = error.to_string();
                text.push('\n');
                return Reply { status: StatusCode::BAD_REQUEST, body: text.into_bytes(), outcome: error.outcome() };
            }
        };
        let decision = self.answer(hook, &review, caller).await;
        Reply::review(admission::encode(review.uid(), &decision), decision.word())
    }

    fn ready(&self) -> Readiness {
        self.knowledge.waits().map_or_else(Readiness::ready, Readiness::waiting_for)
    }
}

#[cfg(test)]
mod tests {
    use super::super::KnownObjects;
    use super::*;
    use crate::manifest;
    use crate::policy::{Sources, load};

    /// The namespace labels of the violations that a review of a pod on the node's network counts.
    async fn labels(door: &Door, namespace: &str, verified: bool) -> Vec<String> {
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": "CREATE", "namespace": namespace, "name": "p", "userInfo": { "username": "u" },
                "kind": { "group": "", "version": "v1", "kind": "Pod" }, "resource": { "group": "", "version": "v1", "resource": "pods" },
                "object": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": namespace },
                    "spec": { "serviceAccountName": "a", "hostNetwork": true, "containers": [{ "name": "c" }] } },
            },
        });
        let caller = Caller { verified, peer: ([127, 0, 0, 1], 1).into(), http: http::Version::HTTP_11 };
        let reply = door.review(Hook::Validate, Bytes::from(review.to_string()), caller).await;
        assert_eq!(reply.status, StatusCode::OK);
        let text = String::from_utf8(door.metrics.text().unwrap()).unwrap();
        let series = text.lines().filter(|line| line.starts_with("doorward_violations_total") && line.contains("no-host-namespaces"));
        series.filter_map(|line| Some(line.split_once("namespace=\"")?.1.split_once('"')?.0.to_owned())).collect()
    }

    fn door() -> Door {
        let set = load(&Sources::default()).unwrap();
        let files = manifest::load("files", "apiVersion: v1\nkind: Namespace\nmetadata: { name: payments }\n").documents;
        let metrics = Arc::new(Metrics::new().unwrap());
        let log = DecisionLog::to(std::io::sink(), metrics.log_queue_depth.clone()).unwrap();
        Door::new(set, Knowledge::Files(KnownObjects::of(files, "default")), metrics, log)
    }

    /// Hardening A35: whoever reaches the Service may post reviews; only the API server's make series of a namespace.
    #[tokio::test]
    async fn hardening_a35_a_caller_that_is_not_verified_gets_no_label_of_a_namespace() {
        assert_eq!(labels(&door(), "payments", false).await, [UNVERIFIED]);
        assert_eq!(labels(&door(), "payments", true).await, ["payments"]);
    }

    /// Hardening A35: and nobody else is told the names of objects that he may not read.
    #[tokio::test]
    async fn hardening_a35_a_caller_that_is_not_verified_is_told_no_name_of_another_object() {
        let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(30 * 24)).to_string();
        let around = "
apiVersion: v1
kind: Namespace
metadata: { name: payments, uid: n }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: api, namespace: payments, annotations: { doorward.dev/workload: ledger-nightly } }
---
apiVersion: doorward.dev/v1alpha1
kind: IdentityWaiver
metadata: { name: until-the-move, uid: w }
spec:
  rules: [no-host-namespaces]
  subject: { namespace: payments, serviceAccount: robot }
  owner: o
  reason: r
  ticket: t
  expiresAt: 'SOON'
"
        .replace("SOON", &soon);
        let set = load(&Sources::default()).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let log = DecisionLog::to(std::io::sink(), metrics.log_queue_depth.clone()).unwrap();
        let files = manifest::load("files", &around).documents;
        let door = Door::new(set, Knowledge::Files(KnownObjects::of(files, "default")), metrics, log);
        let review = |kind: (&str, &str, &str, &str), object: serde_json::Value| {
            let (group, version, kind, resource) = kind;
            serde_json::json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {
                    "uid": "u", "operation": "CREATE", "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
                    "userInfo": { "username": "eve" }, "kind": { "group": group, "version": version, "kind": kind },
                    "resource": { "group": group, "version": version, "resource": resource }, "object": object,
                },
            })
        };
        let deployment = review(
            ("apps", "v1", "Deployment", "deployments"),
            serde_json::json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "payments" },
                "spec": { "template": { "spec": { "serviceAccountName": "api", "containers": [{ "name": "c", "image": "c:1" }] } } } }),
        );
        let spec = serde_json::json!({ "rules": ["no-host-namespaces"], "subject": { "namespace": "payments", "serviceAccount": "robot" },
            "owner": "o", "reason": "r", "ticket": "t", "expiresAt": soon });
        let waiver = review(
            ("doorward.dev", "v1alpha1", "IdentityWaiver", "identitywaivers"),
            serde_json::json!({ "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityWaiver", "metadata": { "name": "mine" }, "spec": spec,
                "status": { "requestedBy": "eve", "requesters": ["eve"], "renewals": 0 } }),
        );
        for (review, name, hidden) in
            [(&deployment, "ledger-nightly", ""), (&waiver, "until-the-move", "(not told: the caller is not verified)")]
        {
            let mut answers = Vec::new();
            for verified in [true, false] {
                let caller = Caller { verified, peer: ([127, 0, 0, 1], 1).into(), http: http::Version::HTTP_11 };
                let reply = door.review(Hook::Validate, Bytes::from(review.to_string()), caller).await;
                answers.push(String::from_utf8(reply.body).unwrap());
            }
            let [known, unknown] = [&answers[0], &answers[1]];
            if !hidden.is_empty() {
                assert!(known.contains(name) && unknown.contains(hidden), "{known}\n{unknown}");
            }
            assert!(!unknown.contains(name), "{unknown}");
            let verdict = |answer: &str| answer.contains(r#""allowed":true"#);
            assert_eq!(verdict(known), verdict(unknown), "what is decided is the same");
        }
    }

    #[tokio::test]
    async fn hardening_a42_only_namespaces_that_are_there_have_a_label() {
        let mut door = door();
        assert_eq!(labels(&door, "never-seen", true).await, [OTHER_NAMESPACES]);
        assert_eq!(labels(&door, "payments", true).await, [OTHER_NAMESPACES, "payments"]);
        door.forget_namespaces();
        assert_eq!(door.metrics.namespaces(), [Box::from("payments")], "`other` is no namespace that could go");
        door.knowledge = Knowledge::Files(KnownObjects::of(Vec::new(), "default"));
        door.forget_namespaces();
        assert!(door.metrics.namespaces().is_empty());
    }
}
