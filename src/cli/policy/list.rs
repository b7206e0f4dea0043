//! `doorward policy list`: what is in force here: each policy with what a violation of it does under the settings, and who is let off.

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::inventory::Output;
use crate::cli::print;
use crate::cli::sources::{ContextArgs, PolicyArgs, complain_all};
use crate::object::{GroupVersionKind, Node, escaped};
use crate::policy::{IdentityPolicy, InjectionPolicy, PolicySet, PolicySource};
use crate::report::{columns, to_json};
use crate::settings::{Classes, Exemption, ExemptionGroup, Grantee, InNamespace, Settings};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "ENFORCEMENT is what a violation does under the settings, in the namespace of --namespace if one is given: what the preset makes of \
                  the policy's own word, then the last entry of `enforcement` that applies. Labels of that Namespace count where it is among the \
                  files of --context.\n\nExamples:\n  doorward policy list --settings doorward.yaml --namespace payments\n  doorward policy list -o json | \
                  jq '.policies[] | select(.enforcement == \"deny\") | .id'"
)]
pub(in crate::cli) struct Args {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

/// What `-o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'s> {
    preset: crate::settings::Preset,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'s str>,
    policies: Vec<Row<'s>>,
    exemptions: &'s [Exemption],
    classes: &'s Classes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'s> {
    id: &'s str,
    kind: &'static str,
    title: &'s str,
    /// What a violation does under the settings; absent for an injection.
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement: Option<&'static str>,
    /// What the policy itself asks for at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<&'static str>,
    /// Whether the settings say something else for some namespaces.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    differs_by_namespace: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    invariants: &'s [String],
    source: String,
    /// Positions in `exemptions` of those that speak of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exemptions: Vec<usize>,
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_or_complain() {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    let (documents, errors) = args.context.load();
    complain_all(&errors);
    let namespace = args.context.only_namespace();
    let is_it = |object: &Node<'_>| {
        let is_namespace = GroupVersionKind::of(*object).is_some_and(|kind| kind.group.is_empty() && kind.kind == "Namespace");
        is_namespace && object.path(&["metadata", "name"]).and_then(Node::as_str) == namespace
    };
    let found = documents.iter().map(|document| document.object.root()).find(is_it);
    let labels = found.and_then(|object| object.path(&["metadata", "labels"]));
    let within = namespace.map(|name| InNamespace { name, labels });
    let listed = Listed {
        preset: set.settings().preset,
        namespace,
        policies: rows(&set, within),
        exemptions: &set.settings().exemptions,
        classes: &set.settings().classes,
    };
    print(&match args.output {
        Output::Table => listed.to_text(),
        Output::Json => to_json(&listed),
    });
    if errors.is_empty() { Exit::Clean } else { Exit::Input }
}

fn rows<'s>(set: &'s PolicySet, within: Option<InNamespace<'_>>) -> Vec<Row<'s>> {
    let source = |id: &str| set.source(id).map(PolicySource::to_string).unwrap_or_default();
    let of_rule = |policy: &'s IdentityPolicy| {
        let settings = set.settings();
        let selects = |entry: &crate::settings::EnforcementOverride| entry.namespace_selector.is_some() && entry.names(&policy.id);
        Row {
            id: &policy.id,
            kind: policy.kind(),
            title: &policy.title,
            enforcement: Some(settings.enforced(&policy.id, policy.step, policy.enforcement, within).word()),
            ceiling: Some(policy.enforcement.word()),
            differs_by_namespace: within.is_none() && settings.enforcement.iter().any(selects),
            severity: Some(policy.severity.word()),
            invariants: &policy.invariants,
            source: source(&policy.id),
            exemptions: exemptions(settings, &policy.id, within),
        }
    };
    let of_injection = |policy: &'s InjectionPolicy| Row {
        id: &policy.id,
        kind: "InjectionPolicy",
        title: &policy.title,
        enforcement: None,
        ceiling: None,
        differs_by_namespace: false,
        severity: None,
        invariants: &[],
        source: source(&policy.id),
        exemptions: Vec::new(),
    };
    set.policies().iter().map(of_rule).chain(set.injections().iter().map(of_injection)).collect()
}

/// Those that speak of a rule; with a namespace, those of it only.
fn exemptions(settings: &Settings, rule: &str, within: Option<InNamespace<'_>>) -> Vec<usize> {
    let speaks = |entry: &Exemption| {
        entry.rules.iter().any(|listed| listed == "*" || listed == rule) && within.is_none_or(|within| within.name == entry.namespace)
    };
    settings.exemptions.iter().enumerate().filter(|(_, entry)| speaks(entry)).map(|(index, _)| index).collect()
}

impl Listed<'_> {
    fn to_text(&self) -> String {
        let mut rows = vec![["NAME", "KIND", "ENFORCEMENT", "SEVERITY", "SOURCE", "TITLE"].map(str::to_owned)];
        for row in &self.policies {
            let enforcement = match (row.enforcement, row.ceiling) {
                (Some(enforcement), Some(ceiling)) if enforcement != ceiling => format!("{enforcement} (of {ceiling})"),
                (enforcement, _) => enforcement.unwrap_or("-").to_owned(),
            };
            let elsewhere = if row.differs_by_namespace { ", by namespace" } else { "" };
            let severity = row.severity.unwrap_or("-").to_owned();
            let cells = [row.id.to_owned(), row.kind.to_owned(), format!("{enforcement}{elsewhere}"), severity];
            let [id, kind, enforcement, severity] = cells;
            rows.push([id, kind, enforcement, severity, escaped(&row.source), escaped(row.title)]);
        }
        let mut out = columns(&rows);
        let exempt = self.exempt();
        if exempt.len() > 1 {
            out.push_str("\nExemptions\n");
            out.push_str(&columns(&exempt));
        }
        let granted = self.granted();
        if granted.len() > 1 {
            out.push_str("\nClasses that the settings give\n");
            out.push_str(&columns(&granted));
        }
        out
    }

    fn exempt(&self) -> Vec<[String; 6]> {
        let mut rows = vec![["NAMESPACE", "SERVICEACCOUNT", "NAME", "RULES", "GROUP", "REASON"].map(str::to_owned)];
        for entry in self.exemptions.iter().filter(|entry| self.namespace.is_none_or(|namespace| entry.namespace == namespace)) {
            let group = match entry.group {
                Some(ExemptionGroup::System) => "system",
                Some(ExemptionGroup::Doorward) => "doorward",
                None => "-",
            };
            rows.push([
                subject(&entry.namespace, entry.namespace_uid.as_deref()),
                or_dash(entry.service_account.as_deref().unwrap_or_default()),
                or_dash(entry.name.as_deref().unwrap_or_default()),
                escaped(&entry.rules.join(",")),
                group.to_owned(),
                or_dash(&entry.reason),
            ]);
        }
        rows
    }

    fn granted(&self) -> Vec<[String; 4]> {
        let mut rows = vec![["NAMESPACE", "SERVICEACCOUNT", "CLASS", "REASON"].map(str::to_owned)];
        let Classes { controller, infrastructure, agent } = self.classes;
        for (class, list) in [("controller", controller), ("infrastructure", infrastructure), ("agent", agent)] {
            let here = |entry: &&Grantee| self.namespace.is_none_or(|namespace| entry.namespace == namespace);
            for entry in list.iter().filter(here) {
                let place = subject(&entry.namespace, entry.namespace_uid.as_deref());
                rows.push([place, escaped(&entry.service_account), class.to_owned(), or_dash(&entry.reason)]);
            }
        }
        rows
    }
}

/// A namespace, with the UID that it must have.
fn subject(namespace: &str, uid: Option<&str>) -> String {
    uid.map_or_else(|| or_dash(namespace), |uid| escaped(&format!("{namespace} ({uid})")))
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text) }
}
