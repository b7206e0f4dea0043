//! Law 1: whatever the body holds, the reply repeats the uid of the request, or there is a reason why it is no review. The built-in
//! policies judge what can be judged.
#![no_main]

use doorward::admission;
use doorward::policy::{Limits, Source};
use doorward_fuzz::scene;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let review = match admission::decode(data.to_vec()) {
        Ok(review) => review,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.outcome().is_empty());
            return;
        }
    };
    for source in [Source::Mutating, Source::Validating] {
        let decision = match review.subject(source) {
            Ok(subject) => {
                let facts = scene::facts();
                let decision = admission::decide(scene::policies(), &subject, &facts, Limits::default());
                let again = admission::decide(scene::policies(), &subject, &facts, Limits::default());
                assert_eq!(admission::encode(review.uid(), &decision), admission::encode(review.uid(), &again), "the same answer twice");
                decision
            }
            Err(error) => admission::Decision::malformed(&error),
        };
        let reply: Value = serde_json::from_slice(&admission::encode(review.uid(), &decision)).expect("a reply is JSON");
        assert_eq!(reply["response"]["uid"].as_str(), Some(review.uid()));
        assert_eq!(reply["response"]["allowed"].as_bool(), Some(decision.allowed));
        // The API server drops a warning with a control character whole.
        assert!(decision.warnings.iter().all(|warning| !warning.chars().any(char::is_control)), "{:?}", decision.warnings);
    }
});
