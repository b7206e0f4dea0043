//! One object explained: who its pods will be, what they may obtain, which rules judged it, and what each refusal asks for.

use std::fmt::Write as _;

use serde::Serialize;

use super::assemble::{located, object_ref, unreadable};
use super::columns::columns;
use super::model::{ObjectRef, Violation};
use crate::identity::{EntryState, Issuance, IssuanceAnswer};
use crate::manifest::{Beginning, Document, InputError, beginnings};
use crate::object::{FieldPath, Node, Object, Operation, escaped, quoted};
use crate::policy::{self, Facts, Limits, PolicySet, Portrait, RelatedIndex, Source, Subject, evaluate, mend, portrait};

/// What is known of one object. Serialised it is what `explain -o json` and `inventory -o json` print.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The object.
    pub object: ObjectRef,
    /// File as given, or `<stdin>`; empty for an object of a live cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// 1-based line where its document begins; 0 without a file.
    pub line: usize,
    /// The identity of its pods ([`crate::identity::SCHEMA`]); absent if it carries no pod template.
    #[serde(serialize_with = "as_json", skip_serializing_if = "Option::is_none")]
    pub identity: Option<Object>,
    /// What SPIRE issues to its pods, and by which objects; absent without a pod template or a trust domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spire: Option<Issuance>,
    /// Why it is not known which injections are due, if so: the identity is then the one without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// Ids of the rules that judged it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<String>,
    /// What they found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// One violation, and what ends it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
    /// The waiver or exemption that lifts it, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived_by: Option<String>,
    /// A JSON Patch (RFC 6902) of the object that ends it: proven by judging the object again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Vec<Operation>>,
}

#[expect(clippy::ref_option, reason = "the shape that serde wants")]
fn as_json<S: serde::Serializer>(object: &Option<Object>, serializer: S) -> Result<S::Ok, S::Error> {
    object.as_ref().map(Object::root).serialize(serializer)
}

impl Explanation {
    /// Judges a document as if it were created now, and tells all of it.
    ///
    /// # Errors
    /// [`InputError`] if the document names no kind.
    pub fn new<'d>(
        set: &PolicySet,
        source: Source,
        document: &'d Document,
        index: &RelatedIndex<'d>,
        default_namespace: &str,
        now: i64,
    ) -> Result<Self, InputError> {
        let explain = |subject: &Subject<'_>, facts: &Facts<'_>| {
            let verdict = evaluate(set, subject, facts, Limits::default());
            let explanation = Self::of(document, subject, portrait(set, subject, facts));
            let paths: Vec<&FieldPath> = verdict.violations.iter().map(|violation| &violation.path).collect();
            let finding = |(violation, place): (&policy::Violation, Beginning)| Finding {
                violation: located(violation.clone(), document, place, &explanation.object),
                waived_by: violation.waived_by.clone(),
                patch: mend(set, subject, facts, &verdict, violation),
            };
            let findings = verdict.violations.iter().zip(beginnings(document, &paths)).map(finding).collect();
            Self { findings, judged: verdict.evaluated.iter().map(ToString::to_string).collect(), ..explanation }
        };
        index.created(set, source, document.object.root(), default_namespace, now, explain).map_err(|error| unreadable(document, &error))
    }

    /// Only who a document's pods will be; no rule is asked.
    ///
    /// # Errors
    /// As [`Explanation::new`].
    pub fn identity_only<'d>(
        set: &PolicySet,
        source: Source,
        document: &'d Document,
        index: &RelatedIndex<'d>,
        default_namespace: &str,
        now: i64,
    ) -> Result<Self, InputError> {
        let ask = |subject: &Subject<'_>, facts: &Facts<'_>| Self::of(document, subject, portrait(set, subject, facts));
        index.created(set, source, document.object.root(), default_namespace, now, ask).map_err(|error| unreadable(document, &error))
    }

    fn of(document: &Document, subject: &Subject<'_>, portrait: Option<Portrait>) -> Self {
        let explanation = Self {
            object: object_ref(document, subject.namespace),
            file: document.source.name.clone(),
            line: document.first_line,
            ..Self::default()
        };
        let Some(Portrait { identity, undecided, issuance }) = portrait else { return explanation };
        Self { identity: Some(identity), undecided, spire: issuance, ..explanation }
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{}{}\n", title(&self.object), self.place());
        if let Some(identity) = &self.identity {
            let identity = identity.root();
            out.push_str("\nWho it will be\n");
            out.push_str(&indented(&columns(&who(identity))));
            if let Some(issuance) = &self.spire {
                out.push_str("\nWhat SPIRE issues to it\n");
                out.push_str(&indented(&issued(issuance)));
            }
            out.push_str("\nWhat it may obtain\n");
            out.push_str(&indented(&obtains(identity)));
            let injections: Vec<_> = identity.list("injections").map(injection).collect();
            if !injections.is_empty() {
                out.push_str("\nWhat is added to it\n");
                out.push_str(&indented(&columns(&injections)));
            }
        }
        if let Some(reason) = &self.undecided {
            let _ = writeln!(out, "\nWhich injections are due is not known: {}", escaped(reason));
        }
        let _ = writeln!(out, "\nJudged by {}", if self.judged.is_empty() { "no rule".to_owned() } else { self.judged.join(", ") });
        for finding in &self.findings {
            out.push('\n');
            out.push_str(&finding.to_text());
        }
        if self.findings.is_empty() && !self.judged.is_empty() {
            out.push_str("\nNo rule objects.\n");
        }
        out
    }

    fn place(&self) -> String {
        if self.file.is_empty() { String::new() } else { format!(" ({}:{})", escaped(&self.file), self.line) }
    }
}

impl Finding {
    fn to_text(&self) -> String {
        let violation = &self.violation;
        let status = match (&self.waived_by, violation.status) {
            (Some(by), _) => format!("lifted by {}", escaped(by)),
            (None, super::Status::Unknown) => "unknown".to_owned(),
            (None, _) => violation.enforcement.name().to_owned(),
        };
        let mut out = format!("{status}  [{}] {}\n", quoted(&violation.rule), escaped(&violation.message));
        let mut line = |name: &str, text: &str| {
            if !text.is_empty() {
                let _ = writeln!(out, "  {name:<6} {}", escaped(text));
            }
        };
        line("serves", &violation.invariants.join(", "));
        line("at", &violation.path);
        if !violation.file.is_empty() {
            line("in", &format!("{}:{}:{}", violation.file, violation.line, violation.column));
        }
        line("fix", &violation.remedy);
        // Strings, numbers and a map of them: it always serialises.
        line("patch", &self.patch.as_ref().map(|patch| serde_json::to_string(patch).unwrap_or_default()).unwrap_or_default());
        out
    }
}

/// The inventory of identities as a table: one line a workload.
#[must_use]
pub fn inventory(explanations: &[Explanation]) -> String {
    let header = ["WORKLOAD", "SERVICEACCOUNT", "SPIFFE ID", "API TOKEN", "CREDENTIALS", "MESH", "VAULT"].map(str::to_owned);
    let rows = explanations.iter().filter_map(|explanation| {
        let identity = explanation.identity.as_ref()?.root();
        let vault = identity.get("vault");
        let login = vault.and_then(|vault| vault.get("login")).map(|login| login.text("mount")).unwrap_or_default();
        let client = vault.and_then(|vault| vault.get("client")).and_then(Node::as_bool) == Some(true);
        Some([
            title(&explanation.object),
            escaped(identity.text("serviceAccount")),
            or_dash(identity.text("spiffeId")),
            api_token(identity),
            identity.list("credentials").len().to_string(),
            identity.get("mesh").map(|mesh| mesh.text("state")).unwrap_or_default().to_owned(),
            match (client, login) {
                (false, _) => "-".to_owned(),
                (true, "") => "client".to_owned(),
                (true, mount) => escaped(mount),
            },
        ])
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// `Deployment payments/api`.
fn title(object: &ObjectRef) -> String {
    let namespace = if object.namespace.is_empty() { String::new() } else { format!("{}/", quoted(&object.namespace)) };
    format!("{} {namespace}{}", quoted(&object.kind), quoted(&object.name))
}

fn who(identity: Node<'_>) -> Vec<[String; 2]> {
    let mesh = identity.get("mesh");
    let mesh = mesh.map_or_else(String::new, |mesh| {
        let proven = if mesh.get("proven").and_then(Node::as_bool) == Some(true) { ", proxy proven" } else { "" };
        let cause = mesh.text("cause");
        format!("{}{proven}{}{}", mesh.text("state"), if cause.is_empty() { "" } else { ": " }, escaped(cause))
    });
    let row = |name: &str, value: String| [name.to_owned(), value];
    vec![
        row("ServiceAccount", format!("{}/{}", quoted(identity.text("namespace")), quoted(identity.text("serviceAccount")))),
        row(
            "SPIFFE ID",
            if identity.text("spiffeId").is_empty() { "none: no trust domain is set".into() } else { escaped(identity.text("spiffeId")) },
        ),
        row("class", identity.text("class").to_owned()),
        row("API token", api_token(identity)),
        row("mesh", mesh),
        row("Vault", vault(identity)),
    ]
}

fn api_token(identity: Node<'_>) -> String {
    let Some(token) = identity.get("apiToken") else { return "-".to_owned() };
    match (token.get("mounted").and_then(Node::as_bool), token.text("source")) {
        (Some(true), "unknown") => "perhaps: its ServiceAccount is not known".to_owned(),
        (Some(true), source) => format!("mounted ({source})"),
        _ => "none".to_owned(),
    }
}

fn vault(identity: Node<'_>) -> String {
    let Some(vault) = identity.get("vault") else { return "-".to_owned() };
    if vault.get("client").and_then(Node::as_bool) != Some(true) {
        return "no client".to_owned();
    }
    let Some(login) = vault.get("login") else { return format!("client: {}", escaped(vault.text("evidence"))) };
    let part = |name: &str, key: &str| match login.text(key) {
        "" => String::new(),
        value => format!(" {name} {}", escaped(value)),
    };
    format!("logs in{}{}{}", part("at", "mount"), part("as", "role"), part("of", "address"))
}

fn issued(issuance: &Issuance) -> String {
    let header = ["SPIFFE ID", "BY", "DNS NAMES", "SELECTORS", "STATE"].map(str::to_owned);
    let rows = issuance.entries.iter().map(|entry| {
        let state = match entry.state {
            EntryState::Granted => "granted",
            EntryState::Unknown => "not known",
            EntryState::Failed => "refused by SPIRE",
        };
        [
            entry.spiffe_id.as_deref().map_or_else(|| "-".to_owned(), escaped),
            format!("{} {}", entry.kind, quoted(&entry.name)),
            or_dash(&entry.dns_names.join(",")),
            or_dash(&entry.selectors.join(",")),
            if entry.cause.is_empty() { state.to_owned() } else { format!("{state}: {}", escaped(&entry.cause)) },
        ]
    });
    let mut out =
        if issuance.entries.is_empty() { String::new() } else { columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>()) };
    let cause = if issuance.cause.is_empty() { String::new() } else { format!(": {}", escaped(&issuance.cause)) };
    let answer = match issuance.answer {
        IssuanceAnswer::Expected => "the SPIFFE ID that is expected of it".to_owned(),
        IssuanceAnswer::Other => format!("another SPIFFE ID than the expected `{}`", escaped(&issuance.expected)),
        IssuanceAnswer::None => format!("no SPIFFE ID{cause}"),
        IssuanceAnswer::Unknown => format!("not known{cause}"),
    };
    let _ = writeln!(out, "{answer}");
    out
}

fn obtains(identity: Node<'_>) -> String {
    let header = ["KIND", "AUDIENCE", "SECONDS", "PATH", "CONTAINERS", "FIELD"].map(str::to_owned);
    let rows = identity.list("credentials").map(|credential| {
        let audience = match (credential.get("apiAudience").and_then(Node::as_bool), credential.text("audience")) {
            (Some(true), "") => "the API server".to_owned(),
            (_, audience) => or_dash(audience),
        };
        let containers: Vec<_> = credential.list("containers").filter_map(Node::as_str).collect();
        [
            credential.text("kind").to_owned(),
            audience,
            credential.get("seconds").and_then(Node::as_i64).map_or_else(|| "-".to_owned(), |seconds| seconds.to_string()),
            or_dash(credential.text("path")),
            or_dash(&containers.join(",")),
            or_dash(credential.text("fieldPath")),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    if rows.len() == 1 { "nothing\n".to_owned() } else { columns(&rows) }
}

fn injection(state: Node<'_>) -> [String; 2] {
    let is = |key: &str| state.get(key).and_then(Node::as_bool) == Some(true);
    let what = match (state.get("conflict"), is("done"), is("due")) {
        (Some(conflict), ..) => format!("not possible at {}: {}", escaped(conflict.text("fieldPath")), escaped(conflict.text("reason"))),
        (None, true, _) => "there".to_owned(),
        (None, false, true) => "due".to_owned(),
        (None, false, false) => "not due".to_owned(),
    };
    [state.text("id").to_owned(), what]
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text) }
}

fn indented(block: &str) -> String {
    block.lines().map(|line| format!("  {line}\n")).collect()
}
