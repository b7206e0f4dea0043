//! The variables that an expression sees.

use crate::cel::{Budget, EvaluationError, Scope, Value, Variables};
use crate::object::Node;

/// The variables of a ValidatingAdmissionPolicy; every expression may name them, given or not.
const KNOWN: [&str; 5] = ["object", "oldObject", "request", "params", "namespaceObject"];

/// Names with their values, in the order of their slots.
#[derive(Clone)]
pub(super) struct Scene<'a> {
    scope: Scope,
    values: Vec<Option<Node<'a>>>,
}

impl<'a> Scene<'a> {
    /// From maps of variables; of a name in several the last one counts.
    pub(super) fn new(layers: impl IntoIterator<Item = Node<'a>>) -> Self {
        let mut scene = Self { scope: Scope::new(&KNOWN), values: vec![None; KNOWN.len()] };
        layers.into_iter().for_each(|layer| scene.add(layer));
        scene
    }

    /// This scene with the variables of one more map.
    pub(super) fn with(&self, layer: Node<'a>) -> Self {
        let mut scene = self.clone();
        scene.add(layer);
        scene
    }

    fn add(&mut self, layer: Node<'a>) {
        for (name, value) in layer.entries() {
            self.scope = self.scope.with(name);
            self.values.resize(self.scope.names().len(), None);
            if let Some(place) = self.scope.slot(name).and_then(|slot| self.values.get_mut(slot)) {
                *place = Some(value);
            }
        }
    }

    /// The names.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl<'a> Variables<'a> for Scene<'a> {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        if let Some(Some(node)) = self.values.get(slot) {
            return Ok(Value::from_node(*node));
        }
        let name = self.scope.names().nth(slot).unwrap_or_default();
        match name {
            // As on a CREATE without parameters.
            "oldObject" | "params" => Ok(Value::Null),
            "object" => Err(EvaluationError::Unknown("`object` is not given: use --object FILE or --vars FILE".to_owned())),
            name => Err(EvaluationError::Unknown(format!("`{name}` is not given: use --vars FILE"))),
        }
    }
}
