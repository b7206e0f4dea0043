//! Policies: any document is compiled or refused with every mistake at its place; one that compiles judges a pod, and the answer is one
//! that the API server accepts.
#![no_main]

use doorward::admission;
use doorward::policy::{Limits, Source, Sources, Text, load};
use doorward::settings::Settings;
use doorward_fuzz::scene;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // YAML breaks a line at a carriage return too.
    let lines = text.matches(['\n', '\r']).count() + 1;
    let policy = Text { name: "fuzz.yaml".to_owned(), text: text.to_owned() };
    let settings = Settings::demonstration();
    let sources = Sources { no_builtin: true, policies: vec![policy], fallback: Some(settings), ..Sources::default() };
    match load(&sources) {
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| !error.message.is_empty() && error.line <= lines), "{errors:?}");
        }
        Ok(set) => {
            let variables: serde_json::Value = serde_json::from_str(include_str!("../../src/cel/tests/variables.json")).expect("JSON");
            let review = admission::decode(scene::review_of(&variables["object"].to_string())).expect("a review");
            let facts = scene::facts();
            for source in [Source::Mutating, Source::Validating] {
                let subject = review.subject(source).expect("a subject");
                let decision = admission::decide(&set, &subject, &facts, Limits::default());
                let reply = admission::encode(review.uid(), &decision);
                let reply: serde_json::Value = serde_json::from_slice(&reply).expect("a reply is JSON");
                assert_eq!(reply["response"]["allowed"].as_bool(), Some(decision.allowed));
            }
        }
    }
});
