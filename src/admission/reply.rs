//! A decision to bytes: the AdmissionReview that the API server accepts. The uid is always the request's.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Serialize;

use super::decide::Decision;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewReply<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    causes: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    field: &'a str,
    message: &'a str,
}

/// The reply to the request with this uid. A patch goes only with a mutating answer that allows; the API server refuses it elsewhere.
#[must_use]
pub fn encode(uid: &str, decision: &Decision) -> Vec<u8> {
    let status = (!decision.allowed).then(|| Status {
        status: "Failure",
        message: &decision.message,
        reason: decision.reason,
        code: decision.code,
        details: (!decision.causes.is_empty())
            .then(|| Details { causes: decision.causes.iter().map(|(field, message)| Cause { field, message }).collect() }),
    });
    let patch = (decision.allowed && !decision.patch.is_empty()).then(|| {
        serde_json::to_vec(&decision.patch).map(|patch| base64::engine::general_purpose::STANDARD.encode(patch)).unwrap_or_default()
    });
    let reply = ReviewReply {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: Response {
            uid,
            allowed: decision.allowed,
            status,
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch,
            warnings: &decision.warnings,
            audit_annotations: &decision.audit,
        },
    };
    // Strings, numbers and lists of them: it always serialises; an empty body would be refused by the API server.
    serde_json::to_vec(&reply).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_repeats_the_uid_and_carries_every_cause() {
        let decision = Decision {
            causes: vec![("spec.hostPID".into(), "no".into()), ("spec".into(), "no either".into())],
            ..Decision::refuse(403, "Forbidden", "two")
        };
        let reply: serde_json::Value = serde_json::from_slice(&encode("a-b", &decision)).unwrap();
        assert_eq!(reply["response"]["uid"], "a-b");
        assert_eq!(reply["response"]["allowed"], false);
        assert_eq!(reply["response"]["status"]["code"], 403);
        assert_eq!(reply["response"]["status"]["details"]["causes"][1]["field"], "spec");
        assert_eq!(reply["response"].get("patch"), None);
    }

    #[test]
    fn a_patch_is_base64_and_comes_with_its_type() {
        let operation = crate::object::Operation::add(crate::object::FieldPath::of(&["metadata", "annotations"]), serde_json::json!({}));
        let decision = Decision { allowed: true, patch: vec![operation], ..Decision::default() };
        let reply: serde_json::Value = serde_json::from_slice(&encode("u", &decision)).unwrap();
        assert_eq!(reply["response"]["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(reply["response"]["patch"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(patch).unwrap(), r#"[{"op":"add","path":"/metadata/annotations","value":{}}]"#);
    }
}
