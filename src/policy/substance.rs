//! What a violation is in substance: the part of its key that tells whether a version of an object has the same violation as another one
//! or a worse one (`hardening.md` A2). The ratchet, a baseline and the fingerprints of SARIF all rest on it.

use super::compiled::CompiledValidation;
use super::evaluate::Judge;
use super::location::{Found, Location, Step};
use super::stage::Activation;
use crate::object::{CONTAINER_LISTS, FieldPath, Node, Object, hex_digest};

/// Fields that hold much which has nothing to do with a rule on one of them: a new image must not make every violation of a pod a new one.
const WHOLES: [&str; 5] = ["spec", "template", "metadata", "annotations", "labels"];

impl<'a> Judge<'_, 'a, '_> {
    /// The digests that tell a violation from others of its rule at its path.
    pub(super) fn substance(
        &mut self,
        on_pod_template: bool,
        validation: &'a CompiledValidation,
        activation: &Activation<'_, 'a>,
        found: &Found<'_, 'a>,
        path: &FieldPath,
        root: Node<'a>,
    ) -> String {
        // The whole template's or object's value would change with every image.
        let at_path = || if path.is_root() { None } else { path.resolve(root) }.map(Node::digest).unwrap_or_default();
        // An item of the model may tell what it is in substance, where its field holds lists whose order means nothing.
        let key = Some(found.node.text("key")).filter(|key| validation.in_identity && !key.is_empty());
        let value = key.map_or_else(at_path, |key| hex_digest(key.as_bytes()));
        if let Some(expression) = &validation.value_expression {
            let given = self.value(expression, activation).and_then(|given| given.to_json());
            return match given {
                // What came from JSON and texts always reads back.
                Ok(given) => format!("{value}\n{}", Object::from_serialize(&given).unwrap_or_default().root().digest()),
                Err(error) => {
                    // Then nobody can say whether the violation is an old one.
                    let authored = self.authored(on_pod_template, path).0;
                    self.error(validation.enforcement, &authored, error, "the value of a violation");
                    value
                }
            };
        }
        let Some(location) = &validation.location else {
            return if path.is_root() { root.digest() } else { value };
        };
        match (validation.in_identity, key) {
            (true, Some(_)) => value,
            (true, None) if path.is_root() => found.node.digest(),
            (true, None) => format!("{value}\n{}", found.node.digest_without("fieldPath")),
            (false, _) if validation.field_path.is_root() || is_whole(location) => value,
            (false, _) => format!("{value}\n{}", found.node.digest()),
        }
    }
}

/// Whether a location leads to a whole container, a pod, or another value that holds all sorts of things.
fn is_whole(location: &Location) -> bool {
    match location.steps.as_slice() {
        [.., Step::Field(names)] => names.iter().any(|name| WHOLES.contains(&name.as_str()) || CONTAINER_LISTS.contains(&name.as_str())),
        [.., Step::Field(names), Step::Each(_)] => names.iter().any(|name| CONTAINER_LISTS.contains(&name.as_str())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_and_a_pod_are_wholes() {
        let whole = |at: &str| is_whole(&Location::parse(at).unwrap());
        for at in ["spec", "spec.template", "metadata.annotations", "spec.{initContainers,containers}[container]", "spec.containers[*]"] {
            assert!(whole(at), "{at}");
        }
        for at in ["spec.containers[container].env[*]", "metadata.annotations['spiffe.io/spiffe-id']", "spec.volumes[volume].csi"] {
            assert!(!whole(at), "{at}");
        }
    }
}
