//! Whether the resources that a pod declares as a whole hold the agent's: the API server refuses a pod whose containers ask for more
//! than the pod does, without naming who made it so.

use super::super::outcome::Conflict;
use super::super::place::Additions;
use super::super::pod::Pod;
use crate::cel::Quantity;
use crate::object::{Content, FieldPath, Node};

/// What counts of one container: its request of one resource, and whether it is an init container that stays.
struct Request {
    amount: Option<Quantity>,
    stays: bool,
}

/// Refuses additions that the pod's own resources do not hold. What cannot be read is left to the API server.
pub(super) fn check(pod: &Pod<'_>, additions: &Additions<'_>) -> Result<(), Conflict> {
    let Some(resources) = pod.spec().get("resources") else { return Ok(()) };
    let ours = || additions.init_containers.iter().map(|(_, container)| container).chain(&additions.containers);
    if ours().next().is_none() {
        return Ok(());
    }
    for (list, resource) in named(resources) {
        if list == "limits" {
            check_limit(resources, resource, ours())?;
        }
        check_request(pod, resources, resource, additions)?;
    }
    Ok(())
}

/// The resources that the pod names, and where: each once, requests first.
fn named<'a>(resources: Node<'a>) -> Vec<(&'static str, &'a str)> {
    let mut named: Vec<(&'static str, &str)> = Vec::new();
    for list in ["requests", "limits"] {
        let entries = resources.get(list).map(Node::sorted_entries).unwrap_or_default();
        named.extend(entries.into_iter().map(|(resource, _)| (list, resource)));
    }
    named
}

fn check_limit<'c>(resources: Node<'_>, resource: &str, ours: impl Iterator<Item = &'c Content>) -> Result<(), Conflict> {
    let Some(limit) = resources.path(&["limits", resource]).and_then(amount) else { return Ok(()) };
    let limits = ours.filter_map(|container| Quantity::read(container.get("resources")?.get("limits")?.get(resource)?.as_str()?));
    let Some(most) = limits.max_by(Quantity::amount_order).filter(|most| most.amount_order(&limit).is_gt()) else { return Ok(()) };
    Err(Conflict::new(
        FieldPath::of(&["spec", "resources", "limits"]).field(resource.to_owned()),
        format!("the agent's limit of {resource}, {most}, is above the pod's, {limit}"),
        format!("raise it to at least {most}, or have the agent's lowered in the setting `vault.agent.resources`"),
    ))
}

fn check_request(pod: &Pod<'_>, resources: Node<'_>, resource: &str, additions: &Additions<'_>) -> Result<(), Conflict> {
    let before = Requests::of(pod, resource);
    let declared = resources.path(&["requests", resource]).map(amount);
    // Where the pod names a limit only, the API server takes what its containers ask for as its request before we are asked, and the
    // limit if they ask for nothing.
    let by_default = || before.total().or_else(|| resources.path(&["limits", resource]).and_then(amount));
    let Some(request) = declared.unwrap_or_else(by_default) else { return Ok(()) };
    let Some(total) = before.with(additions, resource).total().filter(|total| total.amount_order(&request).is_gt()) else { return Ok(()) };
    Err(Conflict::new(
        FieldPath::of(&["spec", "resources", "requests"]).field(resource.to_owned()),
        format!("with the agent's the containers ask for {resource} {total} in all, and the pod for {request}"),
        format!("raise it to at least {total}, or have the agent's requests lowered in the setting `vault.agent.resources`"),
    ))
}

struct Requests {
    init_containers: Vec<Request>,
    containers: Vec<Request>,
}

impl Requests {
    fn of(pod: &Pod<'_>, resource: &str) -> Self {
        let of = |list: &str| {
            let containers = pod.spec().list(list);
            let request = |container: Node<'_>| {
                // A limit without a request is the request, too.
                let given = |list: &str| container.path(&["resources", list, resource]).and_then(amount);
                Request { amount: given("requests").or_else(|| given("limits")), stays: container.text("restartPolicy") == "Always" }
            };
            containers.map(request).collect()
        };
        Self { init_containers: of("initContainers"), containers: of("containers") }
    }

    fn with(mut self, additions: &Additions<'_>, resource: &str) -> Self {
        let request = |container: &Content| {
            let given = |list: &str| Quantity::read(container.get("resources")?.get(list)?.get(resource)?.as_str()?);
            let stays = container.get("restartPolicy").and_then(Content::as_str) == Some("Always");
            Request { amount: given("requests").or_else(|| given("limits")), stays }
        };
        for (shift, (index, container)) in additions.init_containers.iter().enumerate() {
            let at = (index + shift).min(self.init_containers.len());
            self.init_containers.insert(at, request(container));
        }
        self.containers.extend(additions.containers.iter().map(request));
        self
    }

    /// Kubernetes' `AggregateContainerRequests`: what runs together, or what an init container needs beside those that stay, whichever is
    /// more. `None` if nobody asks for anything.
    fn total(&self) -> Option<Quantity> {
        let mut running = self.containers.iter().fold(None, |sum, request| plus(sum, request.amount.as_ref()));
        let (mut staying, mut starting) = (None, None);
        for request in &self.init_containers {
            let beside = if request.stays {
                running = plus(running, request.amount.as_ref());
                staying = plus(staying, request.amount.as_ref());
                plus(None, staying.as_ref())
            } else {
                plus(plus(None, staying.as_ref()), request.amount.as_ref())
            };
            starting = most(starting, beside);
        }
        most(running, starting)
    }
}

fn amount(value: Node<'_>) -> Option<Quantity> {
    value.as_str().map_or_else(|| Quantity::read(&value.to_json()), Quantity::read)
}

fn plus(sum: Option<Quantity>, more: Option<&Quantity>) -> Option<Quantity> {
    match (sum, more) {
        (sum, None) => sum,
        (None, Some(more)) => Quantity::read("0").and_then(|nought| nought.plus(more)),
        (Some(sum), Some(more)) => sum.plus(more),
    }
}

fn most(left: Option<Quantity>, right: Option<Quantity>) -> Option<Quantity> {
    [left, right].into_iter().flatten().max_by(Quantity::amount_order)
}
