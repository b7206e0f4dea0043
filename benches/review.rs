//! A review in process: read, judged, injected, answered. `cargo bench --bench review`.
//!
//! The floor of these figures is `read_into_serde_json`: what the frozen no-op server of `benches/floor` does with the same bytes.
#![expect(clippy::expect_used, reason = "a bench that cannot go on says so")]

use doorward::admission;
use doorward::object::{Fact, Object};
use doorward::policy::{Facts, Limits, PolicySet, Source, Sources, load};
use doorward::settings::{MeshKind, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PLAIN: &str = include_str!("reviews/pod-create.json");
const INJECTED: &str = include_str!("reviews/pod-create-inject.json");

mod ratio;

fn main() {
    divan::main();
    let scene = Scene::new();
    ratio::table(
        "one review of 7 kB, in process",
        vec![
            ratio::Row::new("serde_json::Value (floor)", || serde_json::from_str::<serde_json::Value>(PLAIN)),
            ratio::Row::new("read into an object", || Object::from_json(PLAIN)),
            ratio::Row::new("validate", || scene.answer(PLAIN, Source::Validating)),
            ratio::Row::new("mutate with every injection", || scene.answer(INJECTED, Source::Mutating)),
        ],
    );
}

struct Scene {
    set: PolicySet,
    namespace: Object,
    account: Object,
    related: Object,
}

impl Scene {
    fn new() -> Self {
        // As over TLS in `benches/run.sh`: every rule but those of a mesh.
        let mut settings = Settings::demonstration();
        settings.mesh.kind = MeshKind::None;
        let sources = Sources { fallback: Some(settings), ..Sources::default() };
        let labels: serde_json::Map<String, serde_json::Value> = ["automount-off", "vault-token", "vault-agent", "spiffe-csi", "spiffe-id"]
            .iter()
            .map(|id| (format!("inject.doorward.dev/{id}"), "true".into()))
            .collect();
        let namespace = serde_json::json!({"metadata": {"labels": labels, "annotations": {"linkerd.io/inject": "enabled"}}});
        Self {
            set: load(&sources).expect("the built-in policies compile"),
            namespace: Object::from_serialize(&namespace).expect("JSON"),
            account: Object::from_json("{}").expect("JSON"),
            related: Object::from_json(r#"{"metadata":{"name":"every-pod"},"spec":{}}"#).expect("JSON"),
        }
    }

    /// The pod to be judged stands in a namespace that asks for nothing, the one to be injected in one that asks for everything.
    fn facts(&self, source: Source) -> Facts<'_> {
        let namespace = if source == Source::Mutating { &self.namespace } else { &self.account };
        Facts {
            namespace: Fact::Found(namespace.root()),
            service_account: Fact::Found(self.account.root()),
            token_secrets: doorward::identity::KnownSecrets::default(),
            // One object of each resource that rules read: a registration of every pod among them.
            related: self.set.related().into_iter().map(|resource| (resource, Fact::Found(vec![self.related.root()]))).collect(),
            ..Facts::unknown("not asked for")
        }
    }

    fn answer(&self, body: &str, source: Source) -> Vec<u8> {
        let review = admission::decode(body.as_bytes().to_vec()).expect("a review");
        let subject = review.subject(source).expect("a subject");
        let decision = admission::decide(&self.set, &subject, &self.facts(source), Limits::default());
        admission::encode(review.uid(), &decision)
    }
}

#[divan::bench]
fn read_into_serde_json(bencher: divan::Bencher) {
    bencher.bench(|| serde_json::from_str::<serde_json::Value>(divan::black_box(PLAIN)).expect("JSON"));
}

#[divan::bench]
fn read_into_an_object(bencher: divan::Bencher) {
    bencher.bench(|| Object::from_json(divan::black_box(PLAIN)).expect("JSON"));
}

#[divan::bench]
fn validate(bencher: divan::Bencher) {
    let scene = Scene::new();
    bencher.bench(|| scene.answer(divan::black_box(PLAIN), Source::Validating));
}

#[divan::bench]
fn mutate_with_every_injection(bencher: divan::Bencher) {
    let scene = Scene::new();
    bencher.bench(|| scene.answer(divan::black_box(INJECTED), Source::Mutating));
}

#[divan::bench]
fn load_the_built_in_policies(bencher: divan::Bencher) {
    bencher.bench(Scene::new);
}
