//! What an expression sees: the base variables of one subject, and a rule's own, evaluated when first read and kept.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};

use super::compiled::{CompiledRelated, CompiledRule, CompiledValidation, slot};
use super::location::Trail;
use super::schema::RelatedResource;
use super::select::Selected;
use super::set::PolicySet;
use super::subject::{Facts, Source, Subject};
use super::wanted::{config_maps_resource, csi_drivers_resource};
use super::workload::workload_of;
use crate::cel::{Budget, EXPRESSION_LIMIT, EvaluationError, Expression, Value, Variables};
use crate::identity::{Beside, Class, Identity, InjectionState, Surroundings};
use crate::object::{Fact, Node, Object, PodTemplate};

/// The base variables of one subject.
pub(super) struct Stage<'a> {
    pub(super) set: &'a PolicySet,
    pub(super) subject: &'a Subject<'a>,
    pub(super) facts: &'a Facts<'a>,
    /// The pod template as rules see it.
    pub(super) pod: Option<PodTemplate<'a>>,
    /// What the searches of all rules find their way by, one after the other.
    pub(super) trail: Cell<Trail<'a>>,
    /// The validations that ask at one place, kept for its room.
    pub(super) asked: Cell<Vec<&'a CompiledValidation>>,
    /// What each match of the set says of the subject, once some rule has asked.
    selected: RefCell<Vec<Option<Selected>>>,
    /// Whether each match, by number, may mean the subject's resource.
    possible: &'a [bool],
    identity: IdentitySource<'a>,
}

/// The identity model is made when a rule first asks for it.
enum IdentitySource<'a> {
    None,
    Lazy { cell: &'a OnceCell<Object>, injections: &'a [InjectionState] },
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        set: &'a PolicySet,
        subject: &'a Subject<'a>,
        facts: &'a Facts<'a>,
        pod: Option<PodTemplate<'a>>,
        cell: &'a OnceCell<Object>,
        injections: &'a [InjectionState],
    ) -> Self {
        Self::with(set, subject, facts, pod, IdentitySource::Lazy { cell, injections })
    }

    /// For conditions that are asked before there is a pod to read.
    pub(super) fn without_identity(set: &'a PolicySet, subject: &'a Subject<'a>, facts: &'a Facts<'a>) -> Self {
        Self::with(set, subject, facts, subject.template(), IdentitySource::None)
    }

    fn with(
        set: &'a PolicySet,
        subject: &'a Subject<'a>,
        facts: &'a Facts<'a>,
        pod: Option<PodTemplate<'a>>,
        identity: IdentitySource<'a>,
    ) -> Self {
        let possible = set.matches.possible(&subject.resource.resource);
        Self { set, subject, facts, pod, trail: Cell::default(), asked: Cell::default(), selected: RefCell::default(), possible, identity }
    }

    /// Whether a rule means the subject. Many rules match alike: what one was told holds for all.
    pub(super) fn selected(&self, rule: &CompiledRule) -> Selected {
        if self.possible.get(rule.match_number) == Some(&false) {
            return Selected::No;
        }
        let mut known = self.selected.borrow_mut();
        known.resize(self.set.matches.len(), None);
        match known.get_mut(rule.match_number) {
            Some(known) => known.get_or_insert_with(|| rule.matches.selects(self.subject, self.facts)).clone(),
            None => rule.matches.selects(self.subject, self.facts),
        }
    }

    /// The identity model; `None` for a subject that has neither a pod template nor a model of its own.
    pub(super) fn identity(&self) -> Option<Node<'a>> {
        let IdentitySource::Lazy { cell, injections } = &self.identity else { return None };
        let object = cell.get_or_init(|| {
            let Some(pod) = self.pod else { return self.read_object() };
            let mut identity = self.read_identity(pod);
            identity.injections = Cow::Borrowed(injections);
            identity.workload = workload_of(self.subject.object.unwrap_or(pod.node), Some(pod)).into();
            if let Some(object) = self.subject.object.filter(|_| !self.subject.is_pod()) {
                identity.workload_material = crate::identity::workload_material(object);
            }
            identity.neighbours.clone_from(&self.facts.neighbours);
            // Its fields are strings, numbers and lists of them: it always serialises.
            Object::from_serialize(&identity).unwrap_or_default()
        });
        Some(object.root()).filter(|identity| !identity.is_null())
    }

    /// The model of an object without a pod template; null for a kind that has none.
    fn read_object(&self) -> Object {
        let Subject { kind, object, namespace, .. } = self.subject;
        let settings = &self.set.settings;
        let reading = object.and_then(|object| crate::identity::read_object(kind, object, namespace, settings, &self.facts.token_secrets));
        reading.and_then(|reading| Object::from_serialize(&reading).ok()).unwrap_or_default()
    }

    fn read_identity(&self, pod: PodTemplate<'a>) -> Identity<'a> {
        crate::identity::read(pod, &self.surroundings(pod))
    }

    /// What stands around a pod template.
    pub(super) fn surroundings(&self, pod: PodTemplate<'a>) -> Surroundings<'a> {
        let settings = &self.set.settings;
        let object = self.subject.object.unwrap_or(pod.node);
        Surroundings {
            settings,
            namespace: self.subject.namespace,
            namespace_object: &self.facts.namespace,
            service_account: &self.facts.service_account,
            token_secrets: &self.facts.token_secrets,
            class: Class::of(&self.subject.kind, object, pod, self.subject.username, settings),
            beside: self.beside(),
        }
    }

    /// The objects that a pod names. What is not among the files may exist all the same.
    fn beside(&self) -> Beside<'a> {
        let known = |resource: &RelatedResource| match self.facts.related.get(resource) {
            Some(Fact::Found(objects)) => Some(objects.as_slice()),
            Some(Fact::Absent) => Some(&[][..]),
            Some(Fact::Unknown(_)) | None => None,
        };
        let config_maps = known(config_maps_resource());
        Beside {
            config_maps: config_maps.unwrap_or_default(),
            all_config_maps: config_maps.is_some() && self.subject.source == Source::Validating,
            csi_drivers: known(csi_drivers_resource()).unwrap_or_default(),
            ..Beside::default()
        }
    }

    fn base(&self, slot: usize) -> Result<Value<'a>, EvaluationError> {
        let node = |node: Option<Node<'a>>| Ok(node.map_or(Value::Null, Value::from_node));
        match slot {
            slot::OBJECT => node(self.subject.object),
            slot::OLD_OBJECT => node(self.subject.old_object),
            slot::REQUEST => node(Some(self.subject.request)),
            slot::PARAMS => node(Some(self.set.params.root())),
            slot::NAMESPACE_OBJECT if self.subject.namespace.is_empty() => Ok(Value::Null),
            slot::NAMESPACE_OBJECT => match &self.facts.namespace {
                Fact::Found(found) => Ok(Value::from_node(*found)),
                Fact::Absent => Ok(Value::Null),
                Fact::Unknown(reason) => Err(EvaluationError::Unknown(reason.clone())),
            },
            slot::POD => node(self.pod.map(|pod| pod.node)),
            slot::SERVICE_ACCOUNT => optional(&self.facts.service_account),
            slot::IDENTITY => match self.identity() {
                Some(identity) => Ok(Value::from_node(identity)),
                None => Err(EvaluationError::Failed("this kind of object has no `identity`".into())),
            },
            _ => Err(EvaluationError::Failed("undeclared variable".into())),
        }
    }
}

/// A related object is an optional: a value when it was found, none when it is confirmed absent, an error when that is not known.
fn optional<'a>(fact: &Fact<Node<'a>>) -> Result<Value<'a>, EvaluationError> {
    match fact {
        Fact::Found(found) => Ok(Value::some(Value::from_node(*found))),
        Fact::Absent => Ok(Value::Optional(None)),
        Fact::Unknown(reason) => Err(EvaluationError::Unknown(reason.clone())),
    }
}

type Memo<'a> = RefCell<Vec<Option<Result<Value<'a>, EvaluationError>>>>;

/// The variables of one rule for one subject, and of one match of `at` at a time.
pub(super) struct Activation<'s, 'a> {
    stage: &'s Stage<'a>,
    variables: &'a [Expression],
    related: &'a [CompiledRelated],
    first_bound: usize,
    params: Params<'a>,
    /// The names of the variables, where their errors tell them.
    names: &'a [String],
    /// Whether `namespaceObject` is null whatever the Namespace is.
    blind: bool,
    memo: Memo<'a>,
    current: RefCell<Current<'a>>,
}

/// What `params` is.
enum Params<'a> {
    /// The settings: to our own rules.
    Settings,
    /// What the binding of a native policy names.
    Given(Option<Node<'a>>),
}

#[derive(Default)]
struct Current<'a> {
    this: Option<Node<'a>>,
    bound: Vec<Node<'a>>,
}

impl<'s, 'a> Activation<'s, 'a> {
    pub(super) fn new(stage: &'s Stage<'a>, variables: &'a [Expression], related: &'a [CompiledRelated], first_own: usize) -> Self {
        let own = variables.len() + related.len();
        let (memo, first_bound) = (RefCell::new(vec![None; own]), first_own + own);
        Self {
            stage,
            variables,
            related,
            first_bound,
            params: Params::Settings,
            names: &[],
            blind: false,
            memo,
            current: RefCell::default(),
        }
    }

    /// With `params` as the binding of a native policy gives it, an object or null, and variables whose errors name them.
    pub(super) fn of_native(self, given: Option<Node<'a>>, names: &'a [String]) -> Self {
        Self { params: Params::Given(given), names, ..self }
    }

    /// As the match conditions of a native policy see it: the API server shows them no Namespace.
    pub(super) fn without_namespace(self) -> Self {
        Self { blind: true, ..self }
    }

    /// Sets `self` and the names that `at` bound.
    pub(super) fn look_at(&self, this: Node<'a>, bound: &[Node<'a>]) {
        let mut current = self.current.borrow_mut();
        current.this = Some(this);
        current.bound.clear();
        current.bound.extend_from_slice(bound);
    }

    fn own(&self, index: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        if let Some(Some(known)) = self.memo.borrow().get(index) {
            return known.clone();
        }
        let value = match (self.variables.get(index), self.related.get(index.wrapping_sub(self.variables.len()))) {
            // Each variable has the limit of an expression to itself; the policy's is what all of them count for.
            (Some(expression), _) => {
                let value = budget.apart(EXPRESSION_LIMIT, |budget| expression.evaluate(self, budget));
                value.map_err(|error| self.names.get(index).map_or(error.clone(), |name| error.of_variable(name)))
            }
            (None, Some(related)) => self.related(related, budget),
            (None, None) => Err(EvaluationError::Failed("undeclared variable".into())),
        };
        if let Some(memo) = self.memo.borrow_mut().get_mut(index) {
            *memo = Some(value.clone());
        }
        value
    }

    fn related(&self, related: &'a CompiledRelated, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        let kind = &related.resource.resource;
        let objects = match self.stage.facts.related.get(&related.resource) {
            Some(Fact::Found(objects)) => objects.as_slice(),
            Some(Fact::Absent) => &[],
            Some(Fact::Unknown(reason)) => return Err(EvaluationError::Unknown(reason.clone())),
            None => return Err(EvaluationError::Unknown(format!("no {kind} were read"))),
        };
        let Some(name) = &related.name else {
            return Value::list(objects.iter().map(|node| Value::from_node(*node)).collect());
        };
        let name = name.evaluate(self, budget)?;
        let name = name.as_str().ok_or_else(|| EvaluationError::Failed(format!("the name of related {kind} is no string")))?.to_owned();
        let found = objects.iter().find(|object| object.path(&["metadata", "name"]).and_then(Node::as_str) == Some(name.as_str()));
        match (found, self.stage.subject.source) {
            (None, super::subject::Source::Manifests) => {
                Err(EvaluationError::Unknown(format!("{kind} `{name}` is not among the manifests")))
            }
            (found, _) => Ok(found.map_or(Value::Optional(None), |node| Value::some(Value::from_node(*node)))),
        }
    }
}

impl<'a> Variables<'a> for Activation<'_, 'a> {
    fn get(&self, slot: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        if slot == slot::SELF {
            return Ok(self.current.borrow().this.map_or(Value::Null, Value::from_node));
        }
        if let (slot::PARAMS, Params::Given(given)) = (slot, &self.params) {
            return Ok(given.map_or(Value::Null, Value::from_node));
        }
        if slot == slot::NAMESPACE_OBJECT && self.blind {
            return Ok(Value::Null);
        }
        if slot < slot::FIRST_OWN {
            return self.stage.base(slot);
        }
        if slot >= self.first_bound {
            let bound = self.current.borrow().bound.get(slot - self.first_bound).copied();
            return bound.map(Value::from_node).ok_or_else(|| EvaluationError::Failed("a name that `at` did not bind".into()));
        }
        self.own(slot - slot::FIRST_OWN, budget)
    }
}
