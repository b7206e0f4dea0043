//! The page `docs/from-vault-k8s.md` tells the truth: each of its rows is tried on a pod.

use serde_json::{Value, json};

use super::{Ran, Scene};
use crate::settings::Settings;

const PAGE: &str = include_str!("../../../docs/from-vault-k8s.md");
const PREFIX: &str = "vault.hashicorp.com/";

/// The rows of the table under a heading, as the texts of their cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE.split_once(&format!("### {heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace("&#124;", "|")).collect();
    section.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn scene(annotations: &[(&str, &str)]) -> Scene {
    let mut pod = json!({
        "metadata": {"annotations": {"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/agent-inject-secret-db": "kv/data/payments/db"}},
        "spec": {
            "serviceAccountName": "api",
            "initContainers": [{"name": "migrate", "image": "m:1"}],
            "containers": [{"name": "app", "image": "a:1", "securityContext": {"runAsUser": 1234}}, {"name": "other", "image": "b:1"}],
        },
    });
    for (name, value) in annotations {
        let name = name.replace("<name>", "db").replace("<key>", "x");
        pod["metadata"]["annotations"][format!("{PREFIX}{name}")] = json!(value);
    }
    Scene::new(pod, json!([{"vaultAgent": {}}])).with(|scene| {
        scene.settings.vault.agent.honour_vendor_annotations = true;
        scene.settings.vault.addresses = vec!["https://vault-2.example.com".into()];
        scene.settings.vault.other_auth_mounts = vec!["auth/kubernetes-old".into()];
    })
}

/// The pod without its annotations, and the agent's configuration as it will be in the file.
fn result(ran: &Ran) -> String {
    let mut pod = ran.after.clone();
    let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
    let config = annotations.remove("doorward.dev/vault-agent-config").unwrap_or_default();
    let status = json!({"vault.hashicorp.com/agent-inject-status": annotations["vault.hashicorp.com/agent-inject-status"]});
    let unescape = |text: String| text.replace("\\\"", "\"");
    unescape(format!("{} {status} {}", pod["spec"], config.as_str().unwrap_or_default()))
}

#[test]
fn what_the_page_calls_honoured_shows_in_the_pod() {
    let unchanged = result(&scene(&[]).run());
    let mut wrong = Vec::new();
    for row in rows("Honoured") {
        let [annotation, value, effect] = row.as_slice() else { panic!("{row:?}") };
        let (name, value) = (annotation.trim_matches('`'), value.trim_matches('`'));
        let mut asked = vec![(name, value)];
        if name.contains("-delim-") {
            asked.extend([("agent-inject-template-<name>", "x"), ("agent-inject-secret-<name>", "")]);
        }
        let ran = scene(&asked).run();
        let now = result(&ran);
        if ran.states() != ["vault-token", "vault-agent"] {
            wrong.push(format!("{name}: {:?}", ran.states()));
        } else if effect.starts_with("no change") {
            if now != unchanged {
                wrong.push(format!("{name} changes the pod to {now}"));
            }
        } else {
            let snippets = || quoted(effect).filter(|snippet| snippet.contains(['"', '{', '.']) && !snippet.starts_with("vault."));
            wrong.extend(snippets().filter(|snippet| !now.contains(snippet)).map(|snippet| format!("{name}: {snippet} not in {now}")));
            // What shows anyway says nothing.
            let is_default = matches!(name, "agent-inject" | "agent-inject-status" | "agent-pre-populate-only" | "role")
                || (name, value) == ("agent-inject-default-template", "map");
            if snippets().all(|snippet| unchanged.contains(snippet)) && !is_default && name != "agent-inject-containers" {
                wrong.push(format!("{name}: {effect} shows without it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_page_calls_refused_is_refused_with_its_words() {
    let mut wrong = Vec::new();
    for row in rows("Refused") {
        let [annotation, value, reason, remedy] = row.as_slice() else { panic!("{row:?}") };
        let (name, value) = (annotation.trim_matches('`'), value.trim_matches('`'));
        let scene = scene(&[(name, value)]);
        let ran = scene.run();
        let key = name.replace("<name>", "db").replace("<key>", "x");
        let conflict = ran.injection.outcomes.iter().find_map(|outcome| outcome.conflict.as_ref());
        let Some(conflict) = conflict else {
            wrong.push(format!("{name}: {value} is not refused"));
            continue;
        };
        assert!(ran.patch == json!([]) && !ran.injection.outcomes.iter().any(|outcome| outcome.done), "{name}: {}", ran.patch);
        let expected = format!("annotation `{key}` is refused: ");
        if conflict.field_path.to_string() != format!("metadata.annotations[{PREFIX}{key}]")
            || conflict.reason.strip_prefix(&expected) != Some(reason)
            || conflict.remedy != *remedy
        {
            wrong.push(format!("ROW {annotation} | `{value}` | {} | {} |", conflict.reason.replacen(&expected, "", 1), conflict.remedy));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_annotation_that_the_rule_takes_by_default_is_on_the_page() {
    let names: Vec<String> = rows("Honoured")
        .iter()
        .chain(&rows("Refused"))
        .map(|row| row[0].trim_matches('`').replace("<name>", "*").replace("<key>", "*"))
        .collect();
    for listed in Settings::default().vault.vendor_annotations {
        let start = listed.trim_end_matches('*');
        assert!(names.iter().any(|name| *name == listed || (listed.ends_with('*') && name.starts_with(start))), "{listed}");
    }
}

#[test]
fn the_chosen_containers_and_every_init_container_find_the_files() {
    let ran = scene(&[("agent-inject-containers", " other ,gone")]).run();
    assert_eq!(ran.names("/spec/containers/0/volumeMounts"), Vec::<&str>::new());
    assert_eq!(ran.names("/spec/containers/1/volumeMounts"), ["vault-secrets"]);
    assert_eq!(ran.names("/spec/initContainers"), ["vault-agent-init", "vault-agent", "migrate"]);
    assert_eq!(
        ran.at("/spec/initContainers/2/volumeMounts"),
        &json!([{"name": "vault-secrets", "mountPath": "/vault/secrets", "readOnly": true}])
    );
    assert_eq!(scene(&[("agent-pre-populate-only", "true")]).run().names("/spec/initContainers"), ["vault-agent-init", "migrate"]);
}

#[test]
fn two_files_never_share_a_path_and_two_prefixes_never_disagree() {
    let conflict = |annotations: &[(&str, &str)]| scene(annotations).run().states().join(" ");
    assert_eq!(
        conflict(&[("agent-inject-secret-web", "kv/data/web"), ("agent-inject-file-web", "DB")]),
        "vault-token? vault-agent: metadata.annotations[vault.hashicorp.com/agent-inject-secret-web]: `/vault/secrets/DB` is rendered twice"
    );
    assert_eq!(
        conflict(&[("secret-volume-path-<name>", "/vault/secrets/db")]),
        "vault-agent: metadata.annotations[vault.hashicorp.com/agent-inject]: the directories `/vault/secrets` and `/vault/secrets/db` of the \
         agent lie in each other"
    );
    let mut scene = scene(&[("log-level", "info")]);
    scene.pod["metadata"]["annotations"]["openbao.org/log-level"] = json!("debug");
    assert_eq!(
        scene.run().states(),
        [
            "vault-agent: metadata.annotations[vault.hashicorp.com/log-level]: annotation `log-level` is refused: `openbao.org/log-level` says otherwise"
        ]
    );
}

#[test]
fn a_pod_that_renders_nothing_is_refused_and_one_without_the_switch_is_ours() {
    let mut scene = scene(&[]);
    let annotations = scene.pod["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("vault.hashicorp.com/agent-inject-secret-db");
    assert_eq!(
        scene.run().states(),
        [
            "vault-agent: metadata.annotations[vault.hashicorp.com/agent-inject]: annotation `agent-inject` asks for an agent that renders nothing"
        ]
    );
    scene.pod["metadata"]["annotations"] = json!({"vault.hashicorp.com/agent-inject": "false", "vault.hashicorp.com/agent-image": "evil"});
    let ran = scene.run();
    assert_eq!(ran.states(), ["vault-token", "vault-agent"]);
    assert_eq!(ran.at("/spec/initContainers/0/image"), &json!("hashicorp/vault:1.15"));
    assert_eq!(ran.at("/metadata/annotations/vault.hashicorp.com~1agent-inject-status"), &Value::Null);
}

#[test]
fn the_vendors_injector_acts_once_at_most() {
    // It came first, and its agents stand: nothing is added, and the rules judge them.
    let mut scene = scene(&[]);
    let agent = |name: &str| {
        json!({"name": name, "image": "hashicorp/vault:2.0.4", "env": [{"name": "VAULT_CONFIG", "value": "e30="}],
        "command": ["/bin/sh", "-ec"], "args": ["vault agent -config=/home/vault/config.json"]})
    };
    scene.pod["spec"]["initContainers"] = json!([agent("vault-agent-init")]);
    scene.pod["spec"]["containers"].as_array_mut().unwrap().push(agent("vault-agent"));
    let ran = scene.run_plain();
    assert_eq!((ran.states(), ran.patch), (vec!["vault-agent".to_owned()], json!([])));
    // Without the setting it is only told which token to take.
    let mut scene = self::scene(&[]);
    scene.settings.vault.agent.honour_vendor_annotations = false;
    assert_eq!(scene.run().names("/spec/initContainers"), ["migrate"]);
}
