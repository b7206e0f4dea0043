//! What a rule is written out as says the same as the rule, on every case of the library: both evaluated by Doorward.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on says so")]

mod exported;

use doorward::object::{Node, Object};
use doorward::policy::Verdict;
use doorward::settings::{Enforcement, Settings};
use exported::{Asked, compared, set, verdict};
use serde_json::json;

/// What a verdict does, without the words.
fn outcome(verdict: &Verdict) -> Option<Enforcement> {
    verdict.strictest()
}

#[test]
fn an_exported_policy_says_what_its_rule_says_on_every_case() {
    let mut differ = Vec::new();
    let (mut same, mut found) = (0, 0);
    for case in compared().iter().filter(|case| case.file.case.expect.is_some()) {
        let asked_for = &case.file.case;
        let old = asked_for.old_object.as_ref().map(|old| Object::from_serialize(old).unwrap());
        let asked = Asked {
            operation: asked_for.operation.as_deref().unwrap_or("CREATE"),
            subresource: asked_for.subresource.as_deref().unwrap_or_default(),
            user: asked_for.user_info.clone().unwrap_or_else(|| json!({ "username": "eve", "groups": ["dev"] })),
            new: Some(case.file.object()),
            old: old.as_ref().map(Object::root),
        };
        let related: Vec<Node<'_>> = case.file.related().collect();
        for variant in &case.variants {
            let native = set(&[&variant.exported.policy, &variant.exported.binding], &Settings::default());
            let ours = verdict(&variant.rule, &asked, &related);
            let theirs = verdict(&native, &asked, &related);
            if outcome(&ours) == outcome(&theirs) {
                same += 1;
                found += usize::from(outcome(&ours).is_some());
            } else {
                let told = |verdict: &Verdict| verdict.violations.iter().map(doorward::policy::Violation::line).collect::<Vec<_>>();
                let name = &variant.exported.policy["metadata"]["name"];
                differ.push(format!("{} {name}\n  rule:   {:?}\n  native: {:?}", case.name, told(&ours), told(&theirs)));
            }
        }
    }
    assert!(differ.is_empty(), "{} differ, {same} do not:\n{}", differ.len(), differ.join("\n"));
    assert!(same >= 100 && found >= 40, "{same} compared, {found} of them with a violation");
}

#[test]
fn nothing_that_ends_the_api_servers_compiler_is_written() {
    let policies: Vec<String> =
        compared().iter().flat_map(|case| &case.variants).map(|variant| variant.exported.policy.to_string()).collect();
    assert!(!policies.is_empty());
    for policy in policies {
        // Kubernetes 1.37 ends on an optional entry of a list or map literal that selects a field.
        for literal in ["{?", ", ?", "[?object", "[?variables", "[?request"] {
            assert!(!policy.contains(literal), "`{literal}` in {policy}");
        }
    }
}
