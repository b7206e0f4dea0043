//! One live `GET` when a cache lacks an object: pods follow their Namespace and ServiceAccount within milliseconds, faster than a
//! watch at times.
//!
//! Bounded, because anybody who may create a pod causes lookups (hardening B20): one request at a time for one object, absence
//! remembered for a while, so many a second in all, and each with a deadline. What lies beyond a bound is
//! [`Fact::Unknown`], and denies.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};

use super::kept::{is_metadata_alone, kept};
use super::{answered, reason};
use crate::object::{Fact, Object};

/// Which object is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// Its resource.
    pub resource: ApiResource,
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A Namespace.
    #[must_use]
    pub fn namespace(name: &str) -> Self {
        Self { resource: ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&()), namespace: String::new(), name: name.to_owned() }
    }

    /// A `ConfigMap`.
    #[must_use]
    pub fn config_map(namespace: &str, name: &str) -> Self {
        Self {
            resource: ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// A ServiceAccount.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            resource: ApiResource::erase::<k8s_openapi::api::core::v1::ServiceAccount>(&()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl ObjectKey {
    /// Whether namespace and name are each one segment of a URL's path. They come from objects that nobody has validated yet, and
    /// `../secrets/x` would make Doorward read what the author may not; the client escapes nothing.
    fn is_askable(&self) -> bool {
        let segment = |text: &str| {
            text.len() <= 253
                && text != "."
                && text != ".."
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'))
        };
        !self.name.is_empty() && segment(&self.name) && segment(&self.namespace)
    }
}

/// The resource alone: names come from requests, and reasons end in logs and replies.
impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.resource.plural)
    }
}

/// The bounds of the lookups.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one lookup may take.
    pub deadline: Duration,
    /// How long a confirmed absence is believed.
    pub absence: Duration,
    /// How many requests go out a second, and at once after a quiet second.
    pub per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(300), absence: Duration::from_secs(2), per_second: 20 }
    }
}

/// Live lookups. Cloning shares the bounds.
#[derive(Clone)]
pub struct Lookups {
    client: Client,
    limits: Limits,
    state: Arc<Mutex<State>>,
}

type Answer = Fact<Arc<Object>>;

struct State {
    flights: HashMap<ObjectKey, Shared<BoxFuture<'static, Answer>>>,
    absent: Absences,
    budget: Budget,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lookups").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Lookups {
    /// Lookups by a client.
    #[must_use]
    pub fn new(client: Client, limits: Limits) -> Self {
        let state = State { flights: HashMap::new(), absent: Absences::default(), budget: Budget::full(limits.per_second, Instant::now()) };
        Self { client, limits, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn deadline(&self) -> Duration {
        self.limits.deadline
    }

    /// Asks the API server for an object, or joins whoever is asking already. Absent is what the API server confirmed; whatever
    /// else goes wrong is unknown, with the reason.
    ///
    /// The request goes on when the caller gives up, so that the next one profits.
    pub async fn get(&self, key: &ObjectKey) -> Answer {
        if !key.is_askable() {
            return Fact::Unknown(format!("{key} not asked for: no such name can be in a URL"));
        }
        let flight = {
            let mut state = self.lock();
            let now = Instant::now();
            if state.absent.holds(key, now) {
                return Fact::Absent;
            }
            match state.flights.get(key) {
                Some(flight) => flight.clone(),
                None => {
                    if !state.budget.take(now) {
                        let per_second = self.limits.per_second;
                        return Fact::Unknown(format!("{key} not asked for: the limit of {per_second} live lookups a second is reached"));
                    }
                    let flight = self.depart(key.clone());
                    state.flights.insert(key.clone(), flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// Starts a request as a task of its own; it lands under the lock, so that no caller sees neither flight nor answer.
    fn depart(&self, key: ObjectKey) -> Shared<BoxFuture<'static, Answer>> {
        let lookups = self.clone();
        let task = tokio::spawn(async move {
            let answer = lookups.ask(&key).await;
            let mut state = lookups.lock();
            if matches!(answer, Fact::Absent) {
                state.absent.note(key.clone(), Instant::now(), lookups.limits.absence);
            }
            state.flights.remove(&key);
            answer
        });
        task.map(|landed| landed.unwrap_or_else(|_| Fact::Unknown("the lookup was interrupted".into()))).boxed().shared()
    }

    async fn ask(&self, key: &ObjectKey) -> Answer {
        let api: Api<DynamicObject> = if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &key.resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &key.resource)
        };
        let asked = async {
            if !is_metadata_alone(&key.resource) {
                return api.get(&key.name).await;
            }
            let partial = api.get_metadata(&key.name).await?;
            Ok(DynamicObject { types: partial.types, metadata: partial.metadata, data: serde_json::Value::Null })
        };
        match tokio::time::timeout(self.limits.deadline, asked).await {
            Err(_) => Fact::Unknown(format!("no answer about {key} within {} ms", self.limits.deadline.as_millis())),
            Ok(Ok(object)) => match kept(&key.resource, &object) {
                Some(object) => Fact::Found(Arc::new(object)),
                None => Fact::Unknown(format!("the API server's answer about {key} cannot be read")),
            },
            // Only a Status of the API server's confirms absence: a proxy's page, or a path that is not served, says nothing.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && status.reason == "NotFound" => Fact::Absent,
            Ok(Err(kube::Error::Api(status))) => Fact::Unknown(format!("{} when asked for {key}", answered(&status))),
            Ok(Err(error)) => Fact::Unknown(reason(&error)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Confirmed absences and when each stops being believed. Only as many as the budget allows within that time.
#[derive(Default)]
struct Absences(HashMap<ObjectKey, Instant>);

impl Absences {
    fn holds(&self, key: &ObjectKey, now: Instant) -> bool {
        self.0.get(key).is_some_and(|until| now < *until)
    }

    fn note(&mut self, key: ObjectKey, now: Instant, believed: Duration) {
        self.0.retain(|_, until| now < *until);
        self.0.insert(key, now + believed);
    }
}

/// A token bucket: a second's worth at most, refilled evenly.
struct Budget {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn full(per_second: u32, now: Instant) -> Self {
        Self { per_second: f64::from(per_second), left: f64::from(per_second), at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.per_second);
        self.at = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use tokio::sync::Semaphore;

    use super::*;

    const FOUND: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"l":"1"}}}"#;
    const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"x"}"#;

    /// An API server that counts requests and answers all alike, once the gate has a permit for each.
    struct Server {
        asked: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
        lookups: Lookups,
    }

    fn server(code: u16, body: &'static str, limits: Limits) -> Server {
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counter, door) = (Arc::clone(&asked), Arc::clone(&gate));
        let service = tower::service_fn(move |_: Request<Body>| {
            counter.fetch_add(1, Ordering::SeqCst);
            let door = Arc::clone(&door);
            async move {
                door.acquire().await.unwrap().forget();
                let body = http_body_util::Full::new(body.as_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Server { asked, gate, lookups: Lookups::new(Client::new(service, "default"), limits) }
    }

    /// A deadline that a slow machine does not reach.
    fn patient() -> Limits {
        Limits { deadline: Duration::from_secs(60), ..Limits::default() }
    }

    fn open(code: u16, body: &'static str) -> Server {
        let server = server(code, body, patient());
        server.gate.add_permits(1000);
        server
    }

    fn told(answer: Answer) -> String {
        match answer {
            Fact::Found(object) => format!("found {}", object.root().path(&["metadata", "name"]).unwrap().to_json()),
            Fact::Absent => "absent".into(),
            Fact::Unknown(reason) => reason,
        }
    }

    #[tokio::test]
    async fn a_hundred_misses_are_one_request() {
        let server = server(200, FOUND, patient());
        let key = ObjectKey::namespace("a");
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(server.lookups.get(&key))).collect();
        for lookup in &mut waiting {
            assert!(futures::poll!(lookup).is_pending());
        }
        server.gate.add_permits(1);
        for lookup in waiting {
            let Fact::Found(object) = lookup.await else { panic!("found") };
            assert_eq!(object.root().path(&["metadata", "labels", "l"]).and_then(crate::object::Node::as_str), Some("1"));
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_flight_lands_though_its_caller_left() {
        let server = server(404, NOT_FOUND, patient());
        let key = ObjectKey::namespace("a");
        {
            let mut left = Box::pin(server.lookups.get(&key));
            assert!(futures::poll!(&mut left).is_pending());
        }
        let mut joined = Box::pin(server.lookups.get(&key));
        assert!(futures::poll!(&mut joined).is_pending());
        server.gate.add_permits(1);
        assert_eq!(told(joined.await), "absent");
        assert_eq!(server.asked.load(Ordering::SeqCst), 1);
        assert!(server.lookups.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn absence_is_believed_for_a_while() {
        let server = open(404, NOT_FOUND);
        let (one, other) = (ObjectKey::service_account("n", "a"), ObjectKey::service_account("n", "b"));
        for _ in 0..5 {
            assert_eq!(told(server.lookups.get(&one).await), "absent");
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 1);
        assert_eq!(told(server.lookups.get(&other).await), "absent");
        assert_eq!(server.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn absence_ends_and_is_forgotten() {
        let (mut absences, start, believed) = (Absences::default(), Instant::now(), Duration::from_secs(2));
        let (one, other) = (ObjectKey::namespace("a"), ObjectKey::namespace("b"));
        absences.note(one.clone(), start, believed);
        assert!(absences.holds(&one, start + Duration::from_millis(1999)));
        assert!(!absences.holds(&one, start + believed));
        absences.note(other, start + believed, believed);
        assert_eq!(absences.0.len(), 1);
    }

    #[tokio::test]
    async fn what_is_found_is_asked_for_again() {
        let server = open(200, FOUND);
        for _ in 0..2 {
            assert!(matches!(server.lookups.get(&ObjectKey::namespace("a")).await, Fact::Found(_)));
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 2, "the watch is the cache of what exists");
    }

    #[tokio::test]
    async fn a_refusal_an_error_and_a_page_are_unknown() {
        for (code, body, reason) in [
            (
                403,
                r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"secret name"}"#,
                "the API server answered 403 when asked for namespaces",
            ),
            (
                500,
                r#"{"kind":"Status","code":500,"reason":"InternalError","message":"x"}"#,
                "the API server answered 500 when asked for namespaces",
            ),
            (404, "404 page not found", "the API server answered 404 when asked for namespaces"),
            (404, "{}", "the API server answered with an error that is no Status when asked for namespaces"),
        ] {
            let server = open(code, body);
            assert_eq!(told(server.lookups.get(&ObjectKey::namespace("a")).await), reason);
        }
        let server = open(200, "<html>");
        let Fact::Unknown(reason) = server.lookups.get(&ObjectKey::namespace("a")).await else { panic!("unknown") };
        assert!(reason.starts_with("the API server's answer cannot be read: "), "{reason}");
    }

    #[tokio::test]
    async fn a_name_cannot_lead_elsewhere() {
        let server = open(200, FOUND);
        for name in ["", "..", "../secrets/doorward-ca", "a?b", "a#b", "a%2fb", "a/token", "a\nb", "\u{e9}"] {
            for key in [ObjectKey::namespace(name), ObjectKey::service_account("n", name)] {
                assert_eq!(told(server.lookups.get(&key).await), format!("{key} not asked for: no such name can be in a URL"));
            }
        }
        let elsewhere = ObjectKey::service_account("../../secrets", "a");
        assert!(matches!(server.lookups.get(&elsewhere).await, Fact::Unknown(_)));
        assert_eq!(server.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn silence_is_unknown_after_the_deadline() {
        let server = server(200, FOUND, Limits { deadline: Duration::from_millis(20), ..Limits::default() });
        let answer = server.lookups.get(&ObjectKey::namespace("a")).await;
        assert_eq!(told(answer), "no answer about namespaces within 20 ms");
    }

    #[tokio::test]
    async fn beyond_the_limit_nothing_is_asked() {
        let server = server(200, FOUND, Limits { per_second: 1, ..patient() });
        let (one, other) = (ObjectKey::namespace("a"), ObjectKey::namespace("b"));
        let mut first = Box::pin(server.lookups.get(&one));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(server.lookups.get(&one));
        assert!(futures::poll!(&mut second).is_pending(), "who joins a flight costs nothing");
        let reason = "namespaces not asked for: the limit of 1 live lookups a second is reached";
        assert_eq!(told(server.lookups.get(&other).await), reason);
        server.gate.add_permits(1);
        assert!(matches!(first.await, Fact::Found(_)));
    }

    #[test]
    fn the_budget_is_a_second_at_most() {
        let start = Instant::now();
        let mut budget = Budget::full(20, start);
        let granted = |budget: &mut Budget, now| (0..100).filter(|_| budget.take(now)).count();
        assert_eq!(granted(&mut budget, start), 20);
        assert_eq!(granted(&mut budget, start + Duration::from_millis(500)), 10);
        assert_eq!(granted(&mut budget, start + Duration::from_secs(60)), 20);
    }
}
