//! A decision to bytes: the AdmissionReview that the API server accepts. The uid is always the request's.

use base64::Engine as _;
use serde::Serialize;

use super::decide::Decision;
use crate::object::Operation;

#[derive(Serialize)]
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
    let patch = (decision.allowed && !decision.patch.is_empty()).then(|| Operation::document(&decision.patch));
    let mut reply = String::with_capacity(1024 + patch.as_ref().map_or(0, |patch| patch.len() / 3 * 4));
    reply.push_str(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#);
    write(&mut reply, &uid);
    field(&mut reply, "allowed", &decision.allowed);
    if !decision.allowed {
        field(&mut reply, "status", &Status::of(decision));
    }
    if let Some(patch) = patch {
        // It is most of the answer, and no character of base64 needs an escape.
        reply.push_str(r#","patchType":"JSONPatch","patch":""#);
        base64::engine::general_purpose::STANDARD.encode_string(patch, &mut reply);
        reply.push('"');
    }
    if !decision.warnings.is_empty() {
        field(&mut reply, "warnings", &decision.warnings);
    }
    if !decision.audit.is_empty() {
        field(&mut reply, "auditAnnotations", &decision.audit);
    }
    reply.push_str("}}");
    reply.into_bytes()
}

fn field(reply: &mut String, name: &str, value: &impl Serialize) {
    reply.push_str(",\"");
    reply.push_str(name);
    reply.push_str("\":");
    write(reply, value);
}

fn write(reply: &mut String, value: &impl Serialize) {
    // Strings, numbers and lists of them: it always serialises; what were no JSON would be refused by the API server.
    if let Ok(text) = serde_json::to_string(value) {
        reply.push_str(&text);
    }
}

impl<'a> Status<'a> {
    fn of(decision: &'a Decision) -> Self {
        let details = || Details { causes: decision.causes.iter().map(|(field, message)| Cause { field, message }).collect() };
        Self {
            status: "Failure",
            message: &decision.message,
            reason: decision.reason,
            code: decision.code,
            details: (!decision.causes.is_empty()).then(details),
        }
    }
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
        let reply = encode("a-b", &decision);
        assert_eq!(
            String::from_utf8(reply.clone()).unwrap(),
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"a-b","allowed":false,"status":{"status":"Failure","message":"two","reason":"Forbidden","code":403,"details":{"causes":[{"field":"spec.hostPID","message":"no"},{"field":"spec","message":"no either"}]}}}}"#
        );
        let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["response"]["uid"], "a-b");
        assert_eq!(reply["response"]["allowed"], false);
        assert_eq!(reply["response"]["status"]["code"], 403);
        assert_eq!(reply["response"]["status"]["details"]["causes"][1]["field"], "spec");
        assert_eq!(reply["response"].get("patch"), None);
    }

    #[test]
    fn a_patch_is_base64_and_comes_with_its_type() {
        let operation = Operation::add(crate::object::FieldPath::of(&["metadata", "annotations"]), serde_json::json!({}));
        let audit = [("decision".into(), "allowed".into())].into();
        let decision = Decision { allowed: true, patch: vec![operation], warnings: vec!["w".into()], audit, ..Decision::default() };
        let reply = String::from_utf8(encode("u", &decision)).unwrap();
        let (before, after) = (
            r#""uid":"u","allowed":true,"patchType":"JSONPatch","patch":"W3"#,
            r#"","warnings":["w"],"auditAnnotations":{"decision":"allowed"}}}"#,
        );
        assert!(reply.contains(before) && reply.ends_with(after), "{reply}");
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["response"]["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(reply["response"]["patch"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(patch).unwrap(), r#"[{"op":"add","path":"/metadata/annotations","value":{}}]"#);
    }
}
