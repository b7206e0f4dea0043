//! The registry and every metric family, as one struct of typed handles.
//!
//! Labels are bounded: hooks, outcomes, decisions, enforcements and kinds come from fixed lists, rules and injections from the loaded
//! policies. Only namespaces come from tenants; they are capped, and those above the cap count as `other`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use crate::settings::Metrics as MetricsSettings;

/// The label of the namespaces above the cap, and of those that nobody knows.
pub const OTHER_NAMESPACES: &str = "other";
/// The namespace label of callers that are not verified to be the API server.
pub(super) const UNVERIFIED: &str = "unverified";

/// Seconds. From what one small pod takes to the gate's own deadline of 2 s.
const EVALUATION_BUCKETS: [f64; 15] = [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.0];

/// All metrics of a server. The fields are the families; labels are given in the order of the field's comment.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    namespaces: RwLock<HashSet<Box<str>>>,
    /// How many of them may have a label of their own.
    cap: AtomicUsize,
    /// `doorward_requests_total{hook, outcome}`: counted by the shell for every request to a hook, and for others as hook `none`.
    pub requests: IntCounterVec,
    /// `doorward_decisions_total{hook, decision}`: what the gate decided.
    pub decisions: IntCounterVec,
    /// `doorward_violations_total{rule, enforcement, kind, namespace}`: write through [`Metrics::violation`], which caps namespaces.
    violations: IntCounterVec,
    /// `doorward_waived_violations_total{rule}`: violations that a waiver lifted.
    pub waived_violations: IntCounterVec,
    /// `doorward_waivers{state}`: where the waivers of the files and of the cluster stand.
    pub waivers: IntGaugeVec,
    /// `doorward_rule_info{rule, severity, invariants}`: 1 for every loaded rule.
    pub rule_info: IntGaugeVec,
    /// `doorward_rule_unknown_total{rule}`: evaluations that lacked a fact.
    pub rule_unknown: IntCounterVec,
    /// `doorward_injections_total{injection, result}`.
    pub injections: IntCounterVec,
    /// `doorward_evaluation_seconds{hook}`: the gate's time for a review, without TLS and HTTP; observed by the shell.
    pub evaluation_seconds: HistogramVec,
    /// `doorward_cert_expiry_seconds{kind}`: kind `serving`, `ca` or `client-ca`; the Unix time of `notAfter`.
    pub cert_expiry_seconds: IntGaugeVec,
    /// `doorward_cert_reload_failures_total{kind}`: reads of a certificate that failed; the one before stays in use.
    pub cert_reload_failures: IntCounterVec,
    /// `doorward_policies_loaded{kind, source}`.
    pub policies_loaded: IntGaugeVec,
    /// `doorward_policy_reload_failures_total`.
    pub policy_reload_failures: IntCounter,
    /// `doorward_inflight_requests`: reviews being read or judged.
    pub inflight_requests: IntGauge,
    /// `doorward_connections`: open connections to the webhook port, handshakes included.
    pub connections: IntGauge,
    /// `doorward_log_queue_depth`: decision records waiting to be written.
    pub log_queue_depth: IntGauge,
}

impl Metrics {
    /// A registry with every family, and `doorward_build_info{version}` set.
    ///
    /// # Errors
    /// When a family is named twice: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Families { registry: &registry };
        let build = families.gauges("doorward_build_info", "The version of this program; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            namespaces: RwLock::default(),
            cap: AtomicUsize::new(MetricsSettings::default().max_namespaces),
            requests: families.counters(
                "doorward_requests_total",
                "Requests answered, by hook and outcome. Outcomes other than a review's say why none was judged.",
                &["hook", "outcome"],
            )?,
            decisions: families.counters("doorward_decisions_total", "Reviews decided, by hook and decision.", &["hook", "decision"])?,
            violations: families.counters(
                "doorward_violations_total",
                "Violations found in reviews. A controller that retries counts each time.",
                &["rule", "enforcement", "kind", "namespace"],
            )?,
            waived_violations: families.counters(
                "doorward_waived_violations_total",
                "Violations found in reviews that a waiver lifted. Exemptions of the settings are not counted.",
                &["rule"],
            )?,
            waivers: families.gauges(
                "doorward_waivers",
                "Waivers of the files and the cluster, each in one state: pending (not approved), expired, active (it lifted a violation \
                 since this server started), unused (in force, and it lifted none since then).",
                &["state"],
            )?,
            rule_info: families.gauges("doorward_rule_info", "A loaded rule; always 1.", &["rule", "severity", "invariants"])?,
            rule_unknown: families.counters(
                "doorward_rule_unknown_total",
                "Evaluations that could not be finished because a fact about another object was not known.",
                &["rule"],
            )?,
            injections: families.counters("doorward_injections_total", "Injections due, by result.", &["injection", "result"])?,
            evaluation_seconds: families.seconds(
                "doorward_evaluation_seconds",
                "Time from a whole review to its answer, without TLS and HTTP.",
                &["hook"],
            )?,
            cert_expiry_seconds: families.gauges(
                "doorward_cert_expiry_seconds",
                "Unix time at which the certificate in use expires, by kind: serving, ca, client-ca.",
                &["kind"],
            )?,
            cert_reload_failures: families.counters(
                "doorward_cert_reload_failures_total",
                "Certificates that could not be read or issued again; the one before stays in use.",
                &["kind"],
            )?,
            policies_loaded: families.gauges("doorward_policies_loaded", "Policies in force, by kind and source.", &["kind", "source"])?,
            policy_reload_failures: families.counter(
                "doorward_policy_reload_failures_total",
                "Reloads of policies or settings that failed; the set before stays in force.",
            )?,
            inflight_requests: families.gauge("doorward_inflight_requests", "Reviews being read or judged.")?,
            connections: families.gauge("doorward_connections", "Open connections to the webhook port.")?,
            log_queue_depth: families.gauge("doorward_log_queue_depth", "Decision records waiting to be written.")?,
            registry,
        })
    }

    /// The registry, for families of other rooms.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sets how many namespaces get a label of their own from now on; those that have one keep it.
    pub fn cap_namespaces(&self, cap: usize) {
        self.cap.store(cap, Ordering::Relaxed);
    }

    /// The namespaces that have a label of their own.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Box<str>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Counts one violation. `namespace` is empty for an object without one and for a caller that is not verified.
    pub fn violation(&self, rule: &str, enforcement: &str, kind: &str, namespace: &str) {
        let namespace = if self.has_label(namespace) { namespace } else { OTHER_NAMESPACES };
        self.violations.with_label_values(&[rule, enforcement, kind, namespace]).inc();
    }

    /// Drops the series of a namespace that is gone, and frees its place under the cap.
    pub fn forget_namespace(&self, namespace: &str) {
        let known = self.namespaces.write().unwrap_or_else(PoisonError::into_inner).remove(namespace);
        if !known {
            return;
        }
        for family in self.violations.collect() {
            for series in family.get_metric() {
                let of = |name: &str| series.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value());
                if of("namespace") == namespace {
                    // The only error is that the series is gone already.
                    let _gone = self.violations.remove_label_values(&[of("rule"), of("enforcement"), of("kind"), namespace]);
                }
            }
        }
    }

    /// Whether the namespace has, or now gets, a label of its own.
    fn has_label(&self, namespace: &str) -> bool {
        if matches!(namespace, "" | OTHER_NAMESPACES | UNVERIFIED)
            || self.namespaces.read().unwrap_or_else(PoisonError::into_inner).contains(namespace)
        {
            return true;
        }
        let mut known = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        known.len() < self.cap.load(Ordering::Relaxed) && (known.insert(namespace.into()) || known.contains(namespace))
    }

    /// The content type of [`Metrics::text`].
    pub const TEXT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a family of another room holds no sample or a wrong type.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Makes families and registers them.
struct Families<'a> {
    registry: &'a Registry,
}

impl Families<'_> {
    fn keep<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.keep(IntGauge::new(name, help)?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(EVALUATION_BUCKETS.to_vec()), labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_scraped_under_its_name() {
        let metrics = Metrics::new().unwrap();
        metrics.requests.with_label_values(&["mutate", "allowed"]).inc();
        metrics.decisions.with_label_values(&["mutate", "allowed"]).inc();
        metrics.violation("token-ttl-limit", "deny", "Pod", "team-a");
        metrics.waived_violations.with_label_values(&["no-host-namespaces"]).inc();
        metrics.waivers.with_label_values(&["pending"]).set(1);
        metrics.rule_info.with_label_values(&["token-ttl-limit", "high", "INV-2,INV-4"]).set(1);
        metrics.rule_unknown.with_label_values(&["no-unmeshed-pod"]).inc();
        metrics.injections.with_label_values(&["vault-agent", "done"]).inc();
        metrics.evaluation_seconds.with_label_values(&["validate"]).observe(70e-6);
        metrics.cert_expiry_seconds.with_label_values(&["serving"]).set(1);
        metrics.cert_reload_failures.with_label_values(&["serving"]).inc();
        metrics.policies_loaded.with_label_values(&["IdentityPolicy", "builtin"]).set(50);
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            families,
            [
                "doorward_build_info gauge",
                "doorward_cert_expiry_seconds gauge",
                "doorward_cert_reload_failures_total counter",
                "doorward_connections gauge",
                "doorward_decisions_total counter",
                "doorward_evaluation_seconds histogram",
                "doorward_inflight_requests gauge",
                "doorward_injections_total counter",
                "doorward_log_queue_depth gauge",
                "doorward_policies_loaded gauge",
                "doorward_policy_reload_failures_total counter",
                "doorward_requests_total counter",
                "doorward_rule_info gauge",
                "doorward_rule_unknown_total counter",
                "doorward_violations_total counter",
                "doorward_waived_violations_total counter",
                "doorward_waivers gauge",
            ]
        );
        assert!(text.contains(r#"doorward_violations_total{enforcement="deny",kind="Pod",namespace="team-a",rule="token-ttl-limit"} 1"#));
        assert!(text.contains(r#"doorward_evaluation_seconds_bucket{hook="validate",le="0.00005"} 0"#), "{text}");
        assert!(text.contains(r#"doorward_evaluation_seconds_bucket{hook="validate",le="0.0001"} 1"#));
    }

    /// Hardening A42: series are bounded, and those of a namespace go with it.
    #[test]
    fn namespaces_above_the_cap_are_other_until_one_is_gone() {
        const CAP: usize = 20;
        let metrics = Metrics::new().unwrap();
        assert_eq!(metrics.cap.load(Ordering::Relaxed), 2_000);
        metrics.cap_namespaces(CAP);
        for index in 0..CAP + 5 {
            metrics.violation("rule", "deny", "Pod", &format!("n{index}"));
        }
        metrics.violation("rule", "deny", "Namespace", "");
        let count = |namespace: &str, kind: &str| metrics.violations.with_label_values(&["rule", "deny", kind, namespace]).get();
        assert_eq!((count("n0", "Pod"), count(OTHER_NAMESPACES, "Pod"), count("", "Namespace")), (1, 5, 1));
        let series = |metrics: &Metrics| metrics.violations.collect()[0].get_metric().len();
        assert_eq!(series(&metrics), CAP + 2);
        metrics.forget_namespace("n0");
        metrics.forget_namespace("never-seen");
        assert_eq!(series(&metrics), CAP + 1);
        metrics.violation("rule", "deny", "Pod", "newcomer");
        assert_eq!(count("newcomer", "Pod"), 1);
    }
}
