//! The verification checklist at the end of an audit: what the findings mean for the questions that an auditor asks, each as passed,
//! failed, not known or not asked, with the share that passes; and what no admission can answer, said so.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::object::{Node, PodTemplate};
use crate::policy::{Certainty, PolicySet, Source, Subject, Verdict};

/// One question, and the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is asked for.
    pub check: String,
    /// The answer.
    pub status: CheckStatus,
    /// Objects that the question is about.
    pub of: usize,
    /// Those of them that pass. What a waiver or an exemption lifts passes and is counted in `waived` too.
    pub passed: usize,
    /// Those that are not known to pass, for lack of a related object.
    pub unknown: usize,
    /// Those that only a waiver or an exemption lets pass.
    pub waived: usize,
    /// The rules that answer.
    pub rules: Vec<String>,
}

/// The answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CheckStatus {
    /// Every object passes.
    Pass,
    /// Some do not.
    Fail,
    /// None is known to fail, and some are not known to pass.
    Unknown,
    /// No rule that answers it had anything to judge: switched off, not configured, or no such object.
    NotAsked,
    /// Not answerable at admission: ask the running systems.
    Runtime,
}

/// Which objects a question is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// All that one of its rules judged.
    Judged,
    /// Pods and pod templates.
    Pods,
    /// Those that get the SPIFFE Workload API, of all pods where there is a trust domain: only they pass.
    SpiffePods,
    /// Vault clients.
    VaultClients,
    /// Pipelines, and the ServiceAccounts that they and others are bound to a cloud by.
    Pipelines,
    /// Agents.
    Agents,
    /// Pods that stand in the cluster: only those with the stamp pass.
    StampedPods,
}

struct Row {
    check: &'static str,
    of: Of,
    rules: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        check: "every pod has a ServiceAccount of its own",
        of: Of::Pods,
        rules: &["no-default-service-account", "no-shared-service-account", "require-existing-service-account"],
    },
    Row {
        check: "every pod is meshed, jobs and daemons too",
        of: Of::Pods,
        rules: &["no-unmeshed-pod", "no-mesh-opt-out", "mesh-proxy-integrity"],
    },
    Row {
        check: "no legacy ServiceAccount tokens",
        of: Of::Judged,
        rules: &["no-legacy-token-secret", "no-legacy-token-use", "no-explicit-automount", "no-implicit-automount"],
    },
    Row {
        check: "SPIFFE covers every pod",
        of: Of::SpiffePods,
        rules: &["require-spiffe-registration", "no-hostpath-spiffe-socket", "spiffe-id-annotation-matches", "no-self-issued-identity"],
    },
    Row {
        check: "static credentials are gone",
        of: Of::Judged,
        rules: &[
            "require-vault-token",
            "no-static-vault-token",
            "vault-kubernetes-auth-only",
            "no-ambient-store-auth",
            "no-static-credential",
            "no-credential-material",
            "no-unmanaged-secret",
            "external-secret-refresh",
            "secret-store-scoped",
        ],
    },
    Row {
        check: "pipelines use federation",
        of: Of::Pipelines,
        rules: &["pipeline-service-account", "no-static-credential", "cloud-role-binding"],
    },
    Row {
        check: "credentials are short-lived",
        of: Of::Judged,
        rules: &["token-ttl-limit", "token-request-limit", "known-token-audience", "svid-ttl-limit", "external-secret-refresh"],
    },
    Row {
        check: "Vault clients log in by Kubernetes auth",
        of: Of::VaultClients,
        rules: &[
            "require-vault-token",
            "vault-kubernetes-auth-only",
            "vault-login-target",
            "vault-tls-required",
            "vault-agent-shape",
            "vault-role-allowed",
            "vendor-agent-annotations",
        ],
    },
    Row {
        check: "no plaintext path and no wide-open authorisation",
        of: Of::Judged,
        rules: &[
            "no-mesh-bypass-ports",
            "mesh-inbound-policy",
            "no-unauthenticated-server",
            "no-wildcard-mesh-identity",
            "require-meshed-namespace",
        ],
    },
    Row {
        check: "grants stay under their ceilings",
        of: Of::Judged,
        rules: &[
            "no-escalation-verbs",
            "no-wildcard-rbac",
            "justify-cluster-grant",
            "no-broad-binding",
            "secret-store-scoped",
            "spiffe-entry-scoped",
            "no-privileged-spiffe-entry",
        ],
    },
    Row { check: "federation is explicit", of: Of::Judged, rules: &["federation-allow-list", "no-wildcard-mesh-identity"] },
    Row { check: "agents declare their delegation", of: Of::Agents, rules: &["agent-delegation-declared"] },
    Row { check: "records can be joined", of: Of::StampedPods, rules: &["correlation-id-integrity"] },
];

/// What a webhook and its rules never see.
const RUNTIME: &[&str] = &[
    "SVIDs rotate",
    "Vault tokens are renewed, and logins that fail are looked into",
    "mesh proxies are healthy",
    "denied authorisations are looked into",
    "lifetimes and policies inside Vault are as short and as narrow as here",
];

/// The rows that a rule answers, as bits.
static ROWS_OF: LazyLock<BTreeMap<&str, u16>> = LazyLock::new(|| {
    let mut rows = BTreeMap::new();
    for (bit, row) in ROWS.iter().enumerate() {
        for rule in row.rules {
            *rows.entry(*rule).or_default() |= 1 << bit;
        }
    }
    rows
});

/// What one object means for the checklist: bit `n` speaks of row `n`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    asked: u16,
    violated: u16,
    unknown: u16,
    waived: u16,
    pod: bool,
    running_pod: bool,
    vault_client: bool,
    spiffe_is_on: bool,
    spiffe: bool,
    agent: bool,
    stamped: bool,
    pipeline: bool,
}

impl Marks {
    pub(super) fn of(set: &PolicySet, subject: &Subject<'_>, verdict: &Verdict) -> Self {
        let rows = |rule: &str| ROWS_OF.get(rule).copied().unwrap_or_default();
        let is_account = subject.kind.group.is_empty() && subject.kind.kind == "ServiceAccount";
        let mut marks = Self { pipeline: is_account || subject.kind.group == "tekton.dev", ..Self::default() };
        for rule in &verdict.evaluated {
            marks.asked |= rows(rule);
        }
        for violation in &verdict.violations {
            let bits = rows(&violation.rule);
            match (&violation.waived_by, violation.certainty) {
                (Some(_), _) => marks.waived |= bits,
                (None, Certainty::Unknown) => marks.unknown |= bits,
                (None, _) => marks.violated |= bits,
            }
        }
        if let Some(template) = subject.template() {
            marks.pod = true;
            marks.spiffe_is_on = set.settings().spiffe.trust_domain.is_some();
            marks.running_pod = subject.is_pod() && subject.source != Source::Manifests;
            marks.spiffe = has_workload_api(template, &set.settings().spiffe.csi_driver)
                || verdict.injections.iter().any(|injection| injection.id == "spiffe-csi" && injection.done);
            marks.agent = template.label("doorward.dev/class") == Some("agent");
            marks.stamped = template.annotation("doorward.dev/correlation-id").is_some();
            let identity = verdict.identity.as_ref().and_then(|identity| identity.root().path(&["vault", "client"]));
            marks.vault_client = identity.and_then(Node::as_bool) == Some(true);
        }
        marks
    }

    fn is(&self, of: Of) -> bool {
        match of {
            Of::Judged => true,
            Of::Pods => self.pod,
            Of::SpiffePods => self.pod && self.spiffe_is_on,
            Of::VaultClients => self.vault_client,
            Of::Pipelines => self.pipeline,
            Of::Agents => self.agent,
            Of::StampedPods => self.running_pod,
        }
    }

    fn has_what_it_takes(&self, of: Of) -> bool {
        match of {
            Of::SpiffePods => self.spiffe,
            Of::StampedPods => self.stamped,
            _ => true,
        }
    }
}

fn has_workload_api(template: PodTemplate<'_>, driver: &str) -> bool {
    template.spec().list("volumes").any(|volume| volume.get("csi").is_some_and(|csi| csi.text("driver") == driver))
}

/// The checklist over all objects that were judged.
pub(super) fn checklist(set: &PolicySet, marks: &[Marks]) -> Vec<Check> {
    let answered = ROWS.iter().enumerate().map(|(bit, row)| {
        let bit = 1_u16 << bit;
        let mut check = Check {
            check: row.check.into(),
            status: CheckStatus::NotAsked,
            of: 0,
            passed: 0,
            unknown: 0,
            waived: 0,
            rules: row.rules.iter().filter(|rule| set.has_rule(rule)).map(|rule| (*rule).to_owned()).collect(),
        };
        let touched = |marks: &Marks| (marks.asked | marks.violated | marks.unknown | marks.waived) & bit != 0;
        for marks in marks.iter().filter(|marks| marks.is(row.of) && touched(marks)) {
            check.of += 1;
            check.waived += usize::from(marks.waived & bit != 0);
            if marks.violated & bit != 0 {
                continue;
            }
            if marks.unknown & bit != 0 {
                check.unknown += 1;
            } else if marks.has_what_it_takes(row.of) || marks.waived & bit != 0 {
                check.passed += 1;
            }
        }
        check.status = match check.of - check.passed {
            _ if check.of == 0 => CheckStatus::NotAsked,
            0 => CheckStatus::Pass,
            open if open == check.unknown => CheckStatus::Unknown,
            _ => CheckStatus::Fail,
        };
        check
    });
    let runtime = RUNTIME.iter().map(|check| Check {
        check: (*check).into(),
        status: CheckStatus::Runtime,
        of: 0,
        passed: 0,
        unknown: 0,
        waived: 0,
        rules: Vec::new(),
    });
    answered.chain(runtime).collect()
}

/// For people: one line a question.
pub(super) fn to_text(checks: &[Check]) -> String {
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            let status = match check.status {
                CheckStatus::Pass => "pass",
                CheckStatus::Fail => "fail",
                CheckStatus::Unknown => "unknown",
                CheckStatus::NotAsked => "-",
                CheckStatus::Runtime => "runtime",
            };
            let mut share = match check.status {
                CheckStatus::NotAsked => "nothing to judge".to_owned(),
                CheckStatus::Runtime => "not answerable at admission".to_owned(),
                _ => format!("{} of {}", check.passed, check.of),
            };
            for (number, word) in [(check.unknown, "unknown"), (check.waived, "by waiver or exemption")] {
                if number > 0 {
                    share.push_str(&format!(", {number} {word}"));
                }
            }
            [status.to_owned(), check.check.clone(), share]
        })
        .collect();
    super::columns::columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Sources, load};

    /// Bits of the rows that a rule answers.
    fn rows(rule: &str) -> u16 {
        ROWS_OF[rule]
    }

    fn check(marks: &[Marks], name: &str) -> Check {
        let set = load(&Sources::default()).unwrap();
        checklist(&set, marks).into_iter().find(|check| check.check == name).unwrap()
    }

    #[test]
    fn a_share_is_of_what_was_asked() {
        let bit = rows("no-unmeshed-pod");
        let meshed = Marks { asked: bit, pod: true, ..Marks::default() };
        let unmeshed = Marks { violated: bit, ..meshed };
        let unknown = Marks { unknown: bit, ..meshed };
        let exempt = Marks { waived: bit, ..meshed };
        let service = Marks::default();
        let ask = |marks: &[Marks]| {
            let check = check(marks, "every pod is meshed, jobs and daemons too");
            (check.status, check.passed, check.of, check.unknown, check.waived)
        };
        assert_eq!(ask(&[service]), (CheckStatus::NotAsked, 0, 0, 0, 0));
        assert_eq!(ask(&[meshed, exempt, service]), (CheckStatus::Pass, 2, 2, 0, 1));
        assert_eq!(ask(&[meshed, unknown]), (CheckStatus::Unknown, 1, 2, 1, 0));
        assert_eq!(ask(&[meshed, unknown, unmeshed]), (CheckStatus::Fail, 1, 3, 1, 0));
    }

    #[test]
    fn coverage_needs_the_thing_itself() {
        let bare = Marks { asked: rows("spiffe-id-annotation-matches"), pod: true, spiffe_is_on: true, ..Marks::default() };
        let ask = |marks: &[Marks]| check(marks, "SPIFFE covers every pod").status;
        assert_eq!(ask(&[bare]), CheckStatus::Fail);
        assert_eq!(ask(&[Marks { spiffe: true, ..bare }]), CheckStatus::Pass);
        assert_eq!(ask(&[Marks { spiffe_is_on: false, ..bare }]), CheckStatus::NotAsked);
    }

    #[test]
    fn a_pipeline_fails_by_a_static_credential_and_a_pod_of_an_application_is_none() {
        let bit = rows("no-static-credential");
        let pod = Marks { violated: bit, asked: bit, pod: true, ..Marks::default() };
        let ask = |marks: &[Marks]| check(marks, "pipelines use federation").status;
        assert_eq!(ask(&[pod]), CheckStatus::NotAsked);
        assert_eq!(ask(&[pod, Marks { pipeline: true, pod: false, ..pod }]), CheckStatus::Fail);
        let sound = Marks { pipeline: true, asked: rows("pipeline-service-account"), ..Marks::default() };
        assert_eq!(ask(&[pod, sound]), CheckStatus::Pass);
    }

    /// Rules that no question of an auditor is about: they keep pods apart, the house in order, or the other rules honest.
    const HYGIENE: &[(&str, &str)] = &[
        ("identity-mounts-read-only", "keeps the containers of a pod from each other's identity"),
        ("injection-conflict", "keeps free what an injection needs"),
        ("mesh-annotation-placement", "finds what the mesh would not read; whether the pod is meshed is asked of the pod"),
        ("no-host-namespaces", "keeps a pod out of its node's kernel namespaces"),
        ("no-identity-in-ephemeral-container", "keeps a debugger from the identity of what it debugs"),
        ("no-workload-in-default-namespace", "keeps namespaces to one team"),
        ("protected-namespace-label", "keeps what the other rules go by in the platform team's hand"),
        ("require-pod-security", "keeps pods apart by Kubernetes' own standard"),
    ];

    #[test]
    fn every_rule_answers_a_question_or_is_hygiene() {
        let set = load(&Sources::default()).unwrap();
        let rules: Vec<&str> = set.policies().iter().map(|policy| &*policy.id).collect();
        let hygiene = |rule: &str| HYGIENE.iter().any(|(listed, _)| *listed == rule);
        let mute: Vec<_> = rules.iter().filter(|rule| ROWS_OF.contains_key(**rule) == hygiene(rule)).collect();
        assert!(mute.is_empty(), "in neither list, or in both: {mute:?}");
        let listed = ROWS_OF.keys().chain(HYGIENE.iter().map(|(rule, _)| rule));
        let gone: Vec<_> = listed.filter(|rule| !rules.contains(rule)).collect();
        assert!(gone.is_empty(), "no such rule: {gone:?}");
    }

    #[test]
    fn what_no_admission_sees_is_said() {
        assert_eq!(check(&[], "SVIDs rotate").status, CheckStatus::Runtime);
        assert_eq!(check(&[], "SVIDs rotate").rules, [""; 0]);
    }
}
