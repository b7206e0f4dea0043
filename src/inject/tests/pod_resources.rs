//! Resources of the pod as a whole, against `AggregateContainerRequests` of Kubernetes.

use serde_json::{Value, json};

use super::Scene;

/// Pod, init containers and containers by their resources; what comes of the agent: its requests are 50m and 64Mi, its limit 128Mi.
#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value in place")]
fn end(resources: Value, init_containers: &[Value], containers: &[Value]) -> String {
    let of = |(index, container): (usize, &Value)| {
        let mut container = container.clone();
        container["name"] = json!(format!("c{index}"));
        container["image"] = json!("a:1");
        container
    };
    let init_containers: Vec<Value> = init_containers.iter().enumerate().map(of).collect();
    let containers: Vec<Value> = containers.iter().enumerate().map(|(index, container)| of((index + 10, container))).collect();
    let pod =
        json!({"metadata": {"name": "api"}, "spec": {"resources": resources, "initContainers": init_containers, "containers": containers}});
    let scene = Scene::new(pod, json!([{"vaultAgent": {}}]));
    scene.once(&scene.pod).states().pop().unwrap()
}

fn cpu(amount: &str) -> Value {
    json!({"resources": {"requests": {"cpu": amount}}})
}

#[test]
fn golden_24_requests_of_the_pod_hold_the_agents() {
    let requests = |amount: Value| json!({"requests": {"cpu": amount}});
    const OK: &str = "vault-agent";
    let no = |total: &str, given: &str| {
        format!(
            "vault-agent: spec.resources.requests.cpu: with the agent's the containers ask for cpu {total} in all, and the pod for {given}"
        )
    };
    let stays = |amount: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": amount}}});
    for (number, (given, init_containers, containers, expected)) in [
        // The application and the agent that stays; the one that runs once needs no more than both.
        (json!("100m"), vec![], vec![cpu("50m")], OK.to_owned()),
        (json!("0.1"), vec![], vec![cpu("0.050")], OK.to_owned()),
        (json!("99m"), vec![], vec![cpu("50m")], no("100m", "99m")),
        (json!(1), vec![], vec![cpu("951m")], no("1001m", "1")),
        (json!("60m"), vec![], vec![cpu("5m"), cpu("6m")], no("61m", "60m")),
        // An init container of the author's runs beside our sidecar.
        (json!("249m"), vec![cpu("200m")], vec![cpu("50m")], no("250m", "249m")),
        (json!("250m"), vec![cpu("200m")], vec![cpu("50m")], OK.into()),
        // Ours come first, before a sidecar of the author's.
        (json!("299m"), vec![stays("100m"), cpu("150m")], vec![cpu("50m")], no("300m", "299m")),
        (json!("300m"), vec![stays("100m"), cpu("150m")], vec![cpu("50m")], OK.into()),
        // A limit alone is the request, too.
        (json!("149m"), vec![], vec![json!({"resources": {"limits": {"cpu": "100m"}}})], no("150m", "149m")),
        (json!("150m"), vec![], vec![json!({"resources": {"limits": {"cpu": "100m"}}})], OK.into()),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(end(requests(given), &init_containers, &containers), expected, "{number}");
    }
}

#[test]
fn golden_24_what_the_pod_does_not_name_is_filled_in_or_free() {
    // A limit of the pod alone: its request is what its containers ask for, before ours come.
    let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(
        end(limits.clone(), &[], &[cpu("50m")]),
        "vault-agent: spec.resources.requests.cpu: with the agent's the containers ask for cpu 100m in all, and the pod for 50m"
    );
    assert_eq!(end(limits, &[], &[json!({})]), "vault-agent");
    assert_eq!(end(json!({"requests": {"hugepages-2Mi": "2Mi"}}), &[], &[cpu("50m")]), "vault-agent");
    assert_eq!(end(json!({}), &[], &[cpu("50m")]), "vault-agent");
    // What cannot be read is the API server's to refuse.
    assert_eq!(end(json!({"requests": {"cpu": "much"}}), &[], &[cpu("50m")]), "vault-agent");
}

#[test]
fn golden_24_a_limit_of_the_agents_fits_into_the_pods() {
    assert_eq!(
        end(json!({"limits": {"memory": "127Mi"}}), &[], &[json!({})]),
        "vault-agent: spec.resources.limits.memory: the agent's limit of memory, 128Mi, is above the pod's, 127Mi"
    );
    assert_eq!(end(json!({"limits": {"memory": "128Mi"}}), &[], &[json!({})]), "vault-agent");
}

#[test]
fn golden_24_nothing_is_asked_once_the_agent_is_there() {
    let pod = json!({"metadata": {"name": "api"}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let scene = Scene::new(pod, json!([{"vaultAgent": {}}]));
    let mut injected = scene.run().after;
    injected["spec"]["resources"] = json!({"requests": {"cpu": "1m"}});
    assert_eq!(scene.once(&injected).states(), ["vault-token", "vault-agent"]);
}
