//! What a request for a certificate asks for: the PKCS#10 request (RFC 2986) inside a `CertificateSigningRequest` of Kubernetes or a
//! `CertificateRequest` of cert-manager. Its signature is not checked: the signer does that, and who asks is known from the review.

mod der;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use self::der::{BMP_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Values};
use crate::object::Node;

/// A request for a certificate, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningRequest {
    /// Whether it could be read; if not, nobody can say what it asks for.
    pub readable: bool,
    /// The URIs that the certificate shall be for, and SPIFFE IDs that stand in its subject.
    pub uris: Vec<String>,
    /// Whether it shall be a certificate authority.
    pub ca: bool,
    /// Where the request stands.
    pub field_path: &'static str,
}

/// `extensionRequest` (PKCS#9), 1.2.840.113549.1.9.14, and Microsoft's own of the same shape, 1.3.6.1.4.1.311.2.1.14.
const EXTENSION_REQUESTS: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e], &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0e]];
/// `subjectAltName`, 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// `[0]`, the attributes of a request.
const ATTRIBUTES: u8 = 0xa0;
/// `[6]`, a URI among general names (RFC 5280, 4.2.1.6). Readers differ in whether the bits of the class count.
const URI: u8 = 0x06;
const TAG_NUMBER: u8 = 0x1f;
/// What begins a SPIFFE ID, in any capitals.
const SCHEME: &[u8] = b"spiffe:";

/// Reads the request of an object.
pub(super) fn read(object: Node<'_>) -> SigningRequest {
    let mut request = SigningRequest { field_path: "spec.request", ..SigningRequest::default() };
    // Of the outer base64 Go passes over broken lines, as YAML writes them.
    let encoded = object.path(&["spec", "request"]).and_then(Node::as_str);
    let pem = encoded.and_then(|text| STANDARD.decode(text.split(['\n', '\r']).collect::<String>()).ok());
    request.readable = pem.and_then(|pem| der_of(&pem)).is_some_and(|der| read_request(&der, &mut request).is_some());
    request
}

/// The only PEM block of a text that holds nothing else, so that no reader can find another request in it: Go takes the first block that
/// begins a line, of any label; others look for one label, or take the last. Both labels mean the same request (RFC 7468, 7).
fn der_of(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let within = |label: &str| {
        let body = text.strip_prefix("-----BEGIN ")?.strip_prefix(label)?.strip_prefix("-----")?;
        body.trim_ascii_end().strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")
    };
    let body = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].into_iter().find_map(within)?;
    // A second block, or a header of this one, has characters that base64 has not.
    let broken = body.starts_with(['\n', '\r']) && body.ends_with(['\n', '\r']);
    broken.then(|| STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()).flatten()
}

/// Walks `CertificationRequest`; `None` where it does not have that shape.
fn read_request(der: &[u8], request: &mut SigningRequest) -> Option<()> {
    let mut outer = Values(Values(der).expect(SEQUENCE)?);
    let mut info = Values(outer.expect(SEQUENCE)?);
    info.expect(INTEGER)?;
    read_subject(Values(info.expect(SEQUENCE)?), request)?;
    let _public_key = info.expect(SEQUENCE)?;
    if info.is_at_end() {
        return Some(());
    }
    let mut attributes = Values(info.expect(ATTRIBUTES)?);
    while !attributes.is_at_end() {
        let mut attribute = Values(attributes.expect(SEQUENCE)?);
        let kind = attribute.expect(OBJECT_IDENTIFIER)?;
        let mut values = Values(attribute.expect(SET)?);
        while EXTENSION_REQUESTS.contains(&kind) && !values.is_at_end() {
            let mut extensions = Values(values.expect(SEQUENCE)?);
            while !extensions.is_at_end() {
                read_extension(Values(extensions.expect(SEQUENCE)?), request)?;
            }
        }
    }
    Some(())
}

/// A name is a list of sets of attributes, each a type and a text.
fn read_subject(mut subject: Values<'_>, request: &mut SigningRequest) -> Option<()> {
    while !subject.is_at_end() {
        let mut parts = Values(subject.expect(SET)?);
        while !parts.is_at_end() {
            let mut part = Values(parts.expect(SEQUENCE)?);
            part.expect(OBJECT_IDENTIFIER)?;
            let (tag, text) = part.next()?;
            // Of the sorts of text one has two bytes a character.
            let text: Vec<u8> = if tag == BMP_STRING { text.iter().copied().skip(1).step_by(2).collect() } else { text.to_vec() };
            if let Some(start) = text.windows(SCHEME.len()).position(|part| part.eq_ignore_ascii_case(SCHEME)) {
                request.uris.push(String::from_utf8_lossy(text.get(start..).unwrap_or_default()).into_owned());
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
            if tag & TAG_NUMBER == URI {
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

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, 0x82];
        bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        bytes.extend(content);
        bytes
    }

    /// A request as `openssl req` makes it, without a key and signature that mean anything.
    fn der(subject: &[u8], kind: &[u8], extensions: &[u8]) -> String {
        let attribute = [value(OBJECT_IDENTIFIER, kind), value(SET, &value(SEQUENCE, extensions))].concat();
        let subject = value(SEQUENCE, subject);
        let info = [value(INTEGER, &[0]), subject, value(SEQUENCE, &[]), value(ATTRIBUTES, &value(SEQUENCE, &attribute))];
        let der = value(SEQUENCE, &[value(SEQUENCE, &info.concat()), value(SEQUENCE, &[]), value(3, &[0])].concat());
        STANDARD.encode(der)
    }

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    fn request(extensions: &[u8]) -> Value {
        json!(STANDARD.encode(pem("CERTIFICATE REQUEST", &der(&[], EXTENSION_REQUESTS[0], extensions))))
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

    /// Two URIs, of which the second has the class bits of another tag.
    const TWO_URIS: [u8; 28] = *b"\x30\x1a\x06\x03\x55\x1d\x11\x04\x13\x30\x11\x86\x05x://a\xa6\x08spiffe:b";

    #[test]
    fn hardening_a28_a_uri_is_read_whatever_else_its_tag_says() {
        for kind in EXTENSION_REQUESTS {
            let found = of(&json!(STANDARD.encode(pem("NEW CERTIFICATE REQUEST", &der(&[], kind, &TWO_URIS)))));
            assert_eq!((found.readable, found.uris), (true, vec!["x://a".to_owned(), "spiffe:b".to_owned()]));
        }
    }

    #[test]
    fn hardening_a28_a_spiffe_id_in_the_subject_is_read() {
        let named = |tag: u8, text: &[u8]| {
            let part = [value(OBJECT_IDENTIFIER, &[0x55, 4, 3]), value(tag, text)].concat();
            let pem = pem("CERTIFICATE REQUEST", &der(&value(SET, &value(SEQUENCE, &part)), EXTENSION_REQUESTS[0], &[]));
            of(&json!(STANDARD.encode(pem))).uris
        };
        assert_eq!(named(0x0c, b"api"), [""; 0]);
        assert_eq!(named(0x0c, b" SPIFFE://a/b"), ["SPIFFE://a/b"]);
        assert_eq!(named(BMP_STRING, b"\0s\0p\0i\0f\0f\0e\0:\0x"), ["spiffe:x"]);
    }

    #[test]
    fn hardening_a28_a_request_is_the_only_block_of_its_text() {
        let body = der(&[], EXTENSION_REQUESTS[0], &[]);
        let block = pem("CERTIFICATE REQUEST", &body);
        assert!(of(&json!(STANDARD.encode(format!("{}\n \n", block.replace('\n', "\r\n"))))).readable);
        for text in [
            format!("x{block}"),
            format!("\n{block}"),
            format!("{block}x"),
            format!("{block}{block}"),
            format!("x{block}{block}"),
            format!("{}{block}", pem("FOO", &body)),
            format!("{block}{}", pem("FOO", &body)),
            pem("FOO", &body),
            pem("CERTIFICATE REQUEST-----\nA: b", &body),
            block.replace("-----END C", "-----END NEW C"),
            block.replace('\n', ""),
        ] {
            assert!(!of(&json!(STANDARD.encode(&text))).readable, "{text}");
        }
    }
}
