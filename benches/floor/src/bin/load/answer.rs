//! Is this the answer the API server would accept?

use bytes::Bytes;
use serde_json::Value;

/// What an answer must say to count as served.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) uid: String,
    pub(crate) patch: bool,
    /// None: either verdict counts.
    pub(crate) allowed: Option<bool>,
}

/// Judges answers. One a connection: it remembers the last good one.
///
/// The same review gets the same bytes from a server that is a pure function, so one comparison replaces the
/// parse, and the generator stays cheaper than what it measures. An answer that differs is parsed in full.
pub(crate) struct Judge<'a> {
    expected: &'a Expected,
    accepted: Bytes,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(expected: &'a Expected) -> Self {
        Self { expected, accepted: Bytes::new() }
    }

    /// Says why an answer of status 200 does not count.
    pub(crate) fn check(&mut self, body: Bytes) -> Result<(), String> {
        if !self.accepted.is_empty() && self.accepted == body {
            return Ok(());
        }
        self.parse(&body)?;
        self.accepted = body;
        Ok(())
    }

    fn parse(&self, body: &[u8]) -> Result<(), String> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let response = answer.get("response").ok_or("no `response`")?;
        let uid = response.get("uid").and_then(Value::as_str);
        if uid != Some(&self.expected.uid) {
            return Err(format!(
                "response.uid is {}, sent {:?}",
                uid.map_or_else(|| "absent".to_owned(), |uid| format!("{uid:?}")),
                self.expected.uid
            ));
        }
        let allowed = response.get("allowed").and_then(Value::as_bool).ok_or("response.allowed is not a boolean")?;
        if self.expected.allowed.is_some_and(|want| want != allowed) {
            let message = response.pointer("/status/message").and_then(Value::as_str);
            return Err(format!("response.allowed is {allowed}: {}", message.unwrap_or("no message")));
        }
        let patch = response.get("patch").and_then(Value::as_str);
        if self.expected.patch && patch.is_none_or(str::is_empty) {
            return Err("response.patch is absent or empty".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Judge};
    use bytes::Bytes;

    fn verdict(expected: &Expected, body: &'static str) -> Result<(), String> {
        Judge::new(expected).check(Bytes::from_static(body.as_bytes()))
    }

    fn expected() -> Expected {
        Expected { uid: "u-1".to_owned(), patch: false, allowed: Some(true) }
    }

    #[test]
    fn an_allowed_answer_with_our_uid_counts() {
        let body = r#"{"response":{"uid":"u-1","allowed":true}}"#;
        assert_eq!(verdict(&expected(), body), Ok(()));
    }

    #[test]
    fn another_uid_is_an_error_even_if_ours_stands_elsewhere() {
        let body = r#"{"request":{"uid":"u-1"},"response":{"uid":"u-2","allowed":true}}"#;
        assert_eq!(verdict(&expected(), body), Err(r#"response.uid is "u-2", sent "u-1""#.to_owned()));
    }

    #[test]
    fn a_refusal_shows_its_message() {
        let body = r#"{"response":{"uid":"u-1","allowed":false,"status":{"message":"[rule] no"}}}"#;
        assert_eq!(verdict(&expected(), body), Err("response.allowed is false: [rule] no".to_owned()));
        let either = Expected { allowed: None, ..expected() };
        assert_eq!(verdict(&either, body), Ok(()));
    }

    #[test]
    fn an_expected_patch_must_be_there() {
        let expected = Expected { patch: true, ..expected() };
        let body = r#"{"response":{"uid":"u-1","allowed":true,"patch":""}}"#;
        assert_eq!(verdict(&expected, body), Err("response.patch is absent or empty".to_owned()));
        let body = r#"{"response":{"uid":"u-1","allowed":true,"patch":"W10="}}"#;
        assert_eq!(verdict(&expected, body), Ok(()));
    }

    #[test]
    fn a_bad_answer_after_a_good_one_is_seen() {
        let expected = expected();
        let mut judge = Judge::new(&expected);
        let good = r#"{"response":{"uid":"u-1","allowed":true}}"#;
        assert_eq!(judge.check(Bytes::from_static(good.as_bytes())), Ok(()));
        assert_eq!(judge.check(Bytes::from_static(b"{}")), Err("no `response`".to_owned()));
    }
}
