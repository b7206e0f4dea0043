//! What a request for a certificate asks for: the PKCS#10 request (RFC 2986) inside a `CertificateSigningRequest` of Kubernetes or a
//! `CertificateRequest` of cert-manager. Its signature is not checked: the signer does that, and who asks is known from the review.

mod der;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use self::der::{BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Values};
use crate::object::Node;

/// A request for a certificate, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningRequest {
    /// Whether it could be read; if not, nobody can say what it asks for.
    pub readable: bool,
    /// The URIs that the certificate shall be for.
    pub uris: Vec<String>,
    /// Whether it shall be a certificate authority.
    pub ca: bool,
    /// Where the request stands.
    pub field_path: &'static str,
}

/// `extensionRequest` (PKCS#9), 1.2.840.113549.1.9.14.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// `subjectAltName`, 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// `[0]`, the attributes of a request.
const ATTRIBUTES: u8 = 0xa0;
/// `[6]`, a URI among general names (RFC 5280, 4.2.1.6).
const URI: u8 = 0x86;

/// Reads the request of an object.
pub(super) fn read(object: Node<'_>) -> SigningRequest {
    let mut request = SigningRequest { field_path: "spec.request", ..SigningRequest::default() };
    let pem = object.path(&["spec", "request"]).and_then(Node::as_str).and_then(|text| STANDARD.decode(text).ok());
    request.readable = pem.and_then(|pem| der_of(&pem)).is_some_and(|der| read_request(&der, &mut request).is_some());
    request
}

/// The first PEM block of the two labels that stand for a request.
fn der_of(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let begin = ["-----BEGIN CERTIFICATE REQUEST-----", "-----BEGIN NEW CERTIFICATE REQUEST-----"];
    let (_, rest) = begin.iter().find_map(|line| text.split_once(line))?;
    let (body, _) = rest.split_once("-----END ")?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// Walks `CertificationRequest`; `None` where it does not have that shape.
fn read_request(der: &[u8], request: &mut SigningRequest) -> Option<()> {
    let mut outer = Values(Values(der).expect(SEQUENCE)?);
    let mut info = Values(outer.expect(SEQUENCE)?);
    info.expect(INTEGER)?;
    let _subject = info.expect(SEQUENCE)?;
    let _public_key = info.expect(SEQUENCE)?;
    if info.is_at_end() {
        return Some(());
    }
    let mut attributes = Values(info.expect(ATTRIBUTES)?);
    while !attributes.is_at_end() {
        let mut attribute = Values(attributes.expect(SEQUENCE)?);
        let kind = attribute.expect(OBJECT_IDENTIFIER)?;
        let mut values = Values(attribute.expect(SET)?);
        while kind == EXTENSION_REQUEST && !values.is_at_end() {
            let mut extensions = Values(values.expect(SEQUENCE)?);
            while !extensions.is_at_end() {
                read_extension(Values(extensions.expect(SEQUENCE)?), request)?;
            }
        }
    }
    Some(())
}

fn read_extension(mut extension: Values<'_>, request: &mut SigningRequest) -> Option<()> {
    let kind = extension.expect(OBJECT_IDENTIFIER)?;
    let (mut tag, mut content) = extension.next()?;
    if tag == BOOLEAN {
        (tag, content) = extension.next()?;
    }
    if tag != OCTET_STRING {
        return None;
    }
    if kind == SUBJECT_ALTERNATIVE_NAME {
        let mut names = Values(Values(content).expect(SEQUENCE)?);
        while !names.is_at_end() {
            let (tag, name) = names.next()?;
            if tag == URI {
                request.uris.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    } else if kind == BASIC_CONSTRAINTS {
        let mut constraints = Values(Values(content).expect(SEQUENCE)?);
        if let Some((BOOLEAN, [value])) = constraints.next() {
            request.ca |= *value != 0;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;

    fn of(request: &Value) -> SigningRequest {
        let object = Object::from_json(json!({ "spec": { "request": request } }).to_string()).unwrap();
        read(object.root())
    }

    /// A request as `openssl req` makes it, without a key and signature that mean anything.
    fn request(extensions: &[u8]) -> Value {
        fn value(tag: u8, content: &[u8]) -> Vec<u8> {
            let mut bytes = vec![tag, 0x82];
            bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend(content);
            bytes
        }
        let attribute = [value(OBJECT_IDENTIFIER, EXTENSION_REQUEST), value(SET, &value(SEQUENCE, extensions))].concat();
        let info = [value(INTEGER, &[0]), value(SEQUENCE, &[]), value(SEQUENCE, &[]), value(ATTRIBUTES, &value(SEQUENCE, &attribute))];
        let der = value(SEQUENCE, &[value(SEQUENCE, &info.concat()), value(SEQUENCE, &[]), value(3, &[0])].concat());
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(der));
        json!(STANDARD.encode(pem))
    }

    #[test]
    fn uris_and_authority_are_read_from_the_extensions() {
        let alternative = [0x30, 0x14, 0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, 0x0d, 0x30, 0x0b, 0x82, 0x01, b'a', 0x86, 0x06];
        let authority = [0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xff];
        let extensions = [&alternative[..], b"x://ab", &authority[..]].concat();
        let expected = SigningRequest { readable: true, uris: vec!["x://ab".into()], ca: true, field_path: "spec.request" };
        assert_eq!(of(&request(&extensions)), expected);
        assert_eq!(of(&request(&[])), SigningRequest { uris: Vec::new(), ca: false, ..expected });
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let wrong = [json!(null), json!("%"), json!(STANDARD.encode("no PEM")), request(&[0x30, 0x7f]), request(&[0x02, 0x00])];
        for wrong in wrong {
            assert!(!of(&wrong).readable, "{wrong}");
        }
    }
}
