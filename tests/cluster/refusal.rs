//! What a refusal must say: code, reason, the rule's id where events and terminals show it, and each fault with its field.

use crate::client::Answer;

/// A refusal by Doorward.
pub(crate) struct Refusal {
    message: String,
    /// Field and message.
    causes: Vec<(String, String)>,
    /// The causes of the rule that [`Refusal::by`] named last.
    rule: String,
}

/// Asserts that an answer is a refusal by Doorward: 403 `Forbidden`, through an entry of its configuration.
#[track_caller]
pub(crate) fn denied(answer: Answer) -> Refusal {
    let message = answer.body["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.code, 403, "not refused: {:#}", answer.body);
    assert_eq!(answer.body["reason"], "Forbidden", "{message}");
    assert!(message.contains(".guard.doorward.dev\" denied the request: doorward refuses "), "refused by somebody else: {message}");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let causes = answer.body["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let causes = causes.iter().map(|cause| (text(&cause["field"]), text(&cause["message"]))).collect();
    Refusal { message, causes, rule: String::new() }
}

impl Refusal {
    /// Asserts that this rule is among those that refuse, in the message's first bytes and as a cause.
    #[track_caller]
    pub(crate) fn by(mut self, rule: &str) -> Self {
        let start: String = self.message.chars().take(900).collect();
        assert!(start.lines().next().is_some_and(|line| line.contains(rule)), "{rule} is not named at once: {}", self.message);
        assert!(self.causes.iter().any(|(_, message)| tells_of(message, rule)), "no cause for {rule}: {:#?}", self.causes);
        rule.clone_into(&mut self.rule);
        self
    }

    /// Asserts that the rule just named found this field.
    #[track_caller]
    pub(crate) fn at(self, field: &str) -> Self {
        let found: Vec<_> = self.causes.iter().filter(|(_, message)| tells_of(message, &self.rule)).map(|(field, _)| field).collect();
        assert!(found.iter().any(|found| *found == field), "{} stands at {found:?}, not at {field}", self.rule);
        self
    }

    /// Asserts that there are so many faults in all.
    #[track_caller]
    pub(crate) fn in_all(self, count: usize) -> Self {
        assert_eq!(self.causes.len(), count, "{:#?}", self.causes);
        self
    }
}

/// `[rule] INV-n: field: what is wrong. Fix: remedy`.
fn tells_of(message: &str, rule: &str) -> bool {
    message.starts_with(&format!("[{rule}] "))
}

/// Asserts that an admitted request came with a warning of this rule that says this.
#[track_caller]
pub(crate) fn warned(answer: &Answer, rule: &str, text: &str) {
    assert!((200..300).contains(&answer.code), "{}: {}", answer.code, answer.body["message"]);
    let mark = format!("doorward: [{rule}] ");
    assert!(
        answer.warnings.iter().any(|warning| warning.starts_with(&mark) && warning.contains(text)),
        "no warning of {rule} with {text:?}: {:#?}",
        answer.warnings
    );
}
