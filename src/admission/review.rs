//! Bytes to a review (`admission.k8s.io/v1`): what cannot be read is refused here, with the status that tells the API server why.

use crate::object::{Node, Object, ReadError};
use crate::policy::{RequestError, Source, Subject};

/// Why a body is no review that can be answered. Each is a client error: the API server never sends such a body, so the text is
/// for whoever does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The bytes are no text.
    #[error("the body is not UTF-8 (first wrong byte at {0})")]
    NotUtf8(usize),
    /// The text is no JSON, or nested too deep.
    #[error("the body is not JSON: {0}")]
    NotJson(ReadError),
    /// The JSON is something else.
    #[error("expected an AdmissionReview of admission.k8s.io/v1, found {0}")]
    NotAReview(String),
    /// The review holds no request, or one without a uid: there is nothing to answer to.
    #[error("the AdmissionReview has no `request` with a `uid`")]
    NoRequest,
}

impl ReviewError {
    /// The metric label.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::NotUtf8(_) => "not_utf8",
            Self::NotJson(_) => "not_json",
            Self::NotAReview(_) | Self::NoRequest => "not_a_review",
        }
    }
}

/// A review that can be answered: it has a request with a uid.
#[derive(Debug)]
pub struct Review {
    object: Object,
}

/// Reads a review.
///
/// # Errors
/// [`ReviewError`] if there is no uid to answer to.
pub fn decode(body: Vec<u8>) -> Result<Review, ReviewError> {
    let text = String::from_utf8(body).map_err(|error| ReviewError::NotUtf8(error.utf8_error().valid_up_to()))?;
    let object = Object::from_json(text).map_err(ReviewError::NotJson)?;
    let root = object.root();
    if root.text("apiVersion") != "admission.k8s.io/v1" || root.text("kind") != "AdmissionReview" {
        let found = match (root.text("apiVersion"), root.text("kind")) {
            ("", "") => "a document without apiVersion and kind".to_owned(),
            (version, kind) => format!("`{}` of `{}`", crate::object::quoted(kind), crate::object::quoted(version)),
        };
        return Err(ReviewError::NotAReview(found));
    }
    if root.get("request").is_none_or(|request| request.text("uid").is_empty()) {
        return Err(ReviewError::NoRequest);
    }
    Ok(Review { object })
}

impl Review {
    /// The request.
    #[must_use]
    pub fn request(&self) -> Node<'_> {
        self.object.root().get("request").unwrap_or_else(|| self.object.root())
    }

    /// The uid that the answer must repeat.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.request().text("uid")
    }

    /// What is to be judged.
    ///
    /// # Errors
    /// [`RequestError`] if the request lacks what every request has: the review is answered all the same, with a refusal.
    pub fn subject(&self, source: Source) -> Result<Subject<'_>, RequestError> {
        let request = self.request();
        Subject::from_request(source, request, request.get("object"), request.get("oldObject"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        decode(body.as_bytes().to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn a_body_that_cannot_be_answered_says_why() {
        assert_eq!(decode(b"{\"a\":\"\xff\"}".to_vec()).unwrap_err(), ReviewError::NotUtf8(6));
        assert_eq!(error("{"), "the body is not JSON: EOF while parsing an object at line 1 column 1");
        assert_eq!(error("[1]"), "expected an AdmissionReview of admission.k8s.io/v1, found a document without apiVersion and kind");
        assert_eq!(
            error(r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"x"}}"#),
            "expected an AdmissionReview of admission.k8s.io/v1, found `AdmissionReview` of `admission.k8s.io/v1beta1`"
        );
        assert_eq!(
            error(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}"#),
            "the AdmissionReview has no `request` with a `uid`"
        );
        assert!(error(&"[".repeat(100_000)).contains("recursion limit exceeded"));
    }

    #[test]
    fn a_request_that_cannot_be_judged_keeps_its_uid() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"PATCH"}}"#;
        let review = decode(body.as_bytes().to_vec()).unwrap();
        assert_eq!(review.uid(), "u");
        let error = review.subject(Source::Validating).unwrap_err();
        assert_eq!(error.to_string(), "`request.operation` must be CREATE, UPDATE, DELETE or CONNECT");
    }
}
