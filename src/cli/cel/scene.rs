//! The variables that an expression sees.

use crate::cel::{Budget, EvaluationError, Scope, Value, Variables, namespace_type, request_type};
use crate::object::{FieldPath, Kind, Node};

/// The variables of a ValidatingAdmissionPolicy; every expression may name them, given or not.
const KNOWN: [&str; 5] = ["object", "oldObject", "request", "params", "namespaceObject"];
/// Those that the API server takes as JSON of any shape; a whole number that is no int is a double to it.
const JSON: [&str; 3] = ["object", "oldObject", "params"];

/// Names with their values, in the order of their slots.
#[derive(Clone)]
pub(super) struct Scene<'a> {
    scope: Scope,
    values: Vec<Option<Node<'a>>>,
}

impl<'a> Scene<'a> {
    /// From maps of variables; of a name in several the last one counts.
    pub(super) fn new(layers: impl IntoIterator<Item = Node<'a>>) -> Self {
        let scope = Scope::new(&KNOWN).with_type("request", request_type()).with_type("namespaceObject", namespace_type());
        let mut scene = Self { scope, values: vec![None; KNOWN.len()] };
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

/// Why a map of variables cannot be taken as it is written in a text: a whole number that CEL has no int for would silently be a double.
pub(super) fn beyond_int(layer: Node<'_>, text: &str) -> Option<String> {
    // Once read, `1e30` looks the same; the text tells.
    let mut tokens = text.split(|sign: char| !sign.is_ascii_alphanumeric() && !matches!(sign, '.' | '+' | '_'));
    tokens.find(|token| token.len() > 18 && token.bytes().all(|byte| byte.is_ascii_digit()) && token.parse::<i64>().is_err())?;
    let own = layer.entries().filter(|(name, _)| !JSON.contains(name));
    let path = own.into_iter().find_map(|(name, value)| beyond(value, FieldPath::root().field(name.to_owned())))?;
    let most = i64::MAX;
    Some(format!("`{path}` is a whole number beyond {most}, the largest int of CEL: write it as a string, or as a double with `.0`"))
}

/// The first number below a node that is too large to be an int.
fn beyond(node: Node<'_>, path: FieldPath) -> Option<FieldPath> {
    match node.kind() {
        Kind::Float => node.as_f64().filter(|number| number.abs() >= 9_223_372_036_854_775_808.0 && number.fract() == 0.0).map(|_| path),
        Kind::List => node.items().enumerate().find_map(|(index, item)| beyond(item, path.clone().index(index))),
        Kind::Map => node.entries().find_map(|(name, value)| beyond(value, path.clone().field(name.to_owned()))),
        _ => None,
    }
}
