//! Objects as YAML that people read: block style, and quotes wherever a reader of YAML 1.1 or 1.2 would take a string for something else.

use std::fmt::Write as _;

use super::document::Document;
use super::locate::SourceMap;
use super::scalar::{self, Scalar};
use crate::object::{FieldPath, Kind, Node, OriginMap};

/// Longest key that stands before its colon without `?`; YAML allows 1024 characters.
const LONGEST_SIMPLE_KEY: usize = 250;

/// A value as a YAML document in block style, with a line feed at its end; [`super::read`] reads the same value back.
#[must_use]
pub fn to_yaml(node: Node<'_>) -> String {
    Emitter { out: String::new(), written: None }.document(node)
}

/// The same of a document that was changed: numbers and booleans that are its author's stand as he wrote them (`0644`, `1.0`, `yes`), as
/// the origins tell them.
#[must_use]
pub fn to_yaml_as_written(node: Node<'_>, document: &Document, origins: &OriginMap) -> String {
    let map = SourceMap::of(document);
    Emitter { out: String::new(), written: Some(Written { document, map: &map, origins, path: FieldPath::root() }) }.document(node)
}

/// What the author wrote.
struct Written<'w> {
    document: &'w Document,
    map: &'w SourceMap,
    origins: &'w OriginMap,
    /// Where the writing is.
    path: FieldPath,
}

impl<'w> Written<'w> {
    /// The author's word for a number or a boolean, if it is his and means the same.
    fn word(&self, node: Node<'_>) -> Option<&'w str> {
        let authored = self.origins.authored(&self.path);
        let span = self.map.scalar(&authored.path).filter(|_| authored.added_by.is_none())?;
        let word = self.document.source.text.get(span)?;
        let same = match scalar::plain(word) {
            Scalar::Bool(value) => node.as_bool() == Some(value),
            Scalar::Int(value) => node.as_i64() == Some(value),
            Scalar::Float(value) => node.to_json().parse() == Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "beyond 63 bits a number is a float to Kubernetes")]
            Scalar::Unsigned(value) => node.to_json().parse() == Ok(value as f64),
            Scalar::Null | Scalar::Text(_) => false,
        };
        same.then_some(word)
    }
}

struct Emitter<'w> {
    out: String,
    written: Option<Written<'w>>,
}

impl Emitter<'_> {
    fn document(mut self, node: Node<'_>) -> String {
        self.value(node, 0, Place::Root);
        self.out
    }

    /// Writes what stands at a step below the value that is being written.
    fn below(&mut self, step: impl FnOnce(FieldPath) -> FieldPath, write: impl FnOnce(&mut Self)) {
        let above = self.written.as_mut().map(|written| {
            let above = written.path.clone();
            written.path = step(above.clone());
            above
        });
        write(self);
        if let (Some(written), Some(above)) = (&mut self.written, above) {
            written.path = above;
        }
    }

    fn value(&mut self, node: Node<'_>, indent: usize, place: Place) {
        match node.kind() {
            Kind::Map if !node.is_empty() => {
                for (index, (key, inner)) in node.entries().enumerate() {
                    begin_line(&mut self.out, indent, index == 0, place);
                    if key.len() > LONGEST_SIMPLE_KEY {
                        self.out.push_str("? ");
                        double_quoted(&mut self.out, key);
                        self.out.push('\n');
                        spaces(&mut self.out, indent);
                    } else if is_plain(key) {
                        self.out.push_str(key);
                    } else {
                        double_quoted(&mut self.out, key);
                    }
                    self.out.push(':');
                    // As in Kubernetes' own manifests, a list under a key is not indented.
                    let deeper = if inner.kind() == Kind::List { indent } else { indent + 2 };
                    self.below(|path| path.field(key.to_owned()), |inside| inside.value(inner, deeper, Place::AfterKey));
                }
            }
            Kind::List if !node.is_empty() => {
                for (index, item) in node.items().enumerate() {
                    begin_line(&mut self.out, indent, index == 0, place);
                    self.out.push('-');
                    self.below(|path| path.index(index), |inside| inside.value(item, indent + 2, Place::AfterDash));
                }
            }
            Kind::String => {
                separate(&mut self.out, place);
                string(&mut self.out, node.as_str().unwrap_or_default(), indent);
            }
            _ => {
                // Numbers, booleans, null and empty lists and maps are written as in JSON.
                separate(&mut self.out, place);
                match self.written.as_ref().and_then(|written| written.word(node)) {
                    Some(word) => self.out.push_str(word),
                    None => self.out.push_str(&node.to_json()),
                }
                self.out.push('\n');
            }
        }
    }
}

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    AfterKey,
    AfterDash,
}

/// Begins the line of an entry: the first one of a nested map or list continues the line of its dash.
fn begin_line(out: &mut String, indent: usize, is_first: bool, place: Place) {
    match (is_first, place) {
        (true, Place::AfterDash) => out.push(' '),
        (true, Place::AfterKey) => {
            out.push('\n');
            spaces(out, indent);
        }
        _ => spaces(out, indent),
    }
}

fn separate(out: &mut String, place: Place) {
    if place != Place::Root {
        out.push(' ');
    }
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

fn string(out: &mut String, text: &str, indent: usize) {
    if is_plain(text) {
        out.push_str(text);
    } else if is_block(text) {
        out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
        for line in text.lines() {
            if !line.is_empty() {
                spaces(out, indent.max(2));
                out.push_str(line);
            }
            out.push('\n');
        }
        return;
    } else {
        double_quoted(out, text);
    }
    out.push('\n');
}

/// Whether a string may stand without quotes: of harmless characters only, and no reader takes it for a number, date, boolean or null.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let opens = first.is_ascii_alphabetic() || matches!(first, '/' | '_' | '.' | '$' | '(');
    let is_harmless = |(index, character): (usize, char)| {
        let next = text.as_bytes().get(index + 1);
        match character {
            ':' => next.is_some_and(|next| !next.is_ascii_whitespace()),
            ' ' => next.is_some_and(|next| !matches!(next, b' ' | b'#')),
            _ => character.is_ascii_alphanumeric() || "-_./=+@$(),;<>*%'".contains(character),
        }
    };
    let version = first.is_ascii_digit() && text.bytes().filter(|byte| *byte == b'.').count() > 1 && !text.contains(':');
    (opens || version)
        && !text.starts_with("...")
        && text.char_indices().all(is_harmless)
        && matches!(scalar::plain(text), Scalar::Text(_))
        && !(first == '.' && text.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Whether a string reads well as a literal block, and comes back unchanged from one.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && text.lines().all(|line| !line.ends_with([' ', '\t']))
        && text.chars().all(|character| character == '\n' || character == '\t' || is_printable(character))
}

/// What both YAML versions print unescaped. NEL, LS and PS break lines in YAML 1.1, a byte order mark is swallowed.
fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            character if is_printable(character) => out.push(character),
            character => {
                let _ = write!(out, "\\u{:04X}", u32::from(character));
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    fn yaml(json: &str) -> String {
        to_yaml(Object::from_json(json).unwrap().root())
    }

    #[test]
    fn writes_what_people_write() {
        let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","annotations":{"a.io/b":"true","t":"10:30"}},
            "spec":{"containers":[{"name":"api","image":"repo.io/api:1.2","args":["--x=1","-c","echo a\nexit 0\n"],"env":[]}],"x":[[1,[]],[{}]]}}"#;
        insta::assert_snapshot!(yaml(json), @r#"
        apiVersion: v1
        kind: Pod
        metadata:
          name: api
          annotations:
            a.io/b: "true"
            t: "10:30"
        spec:
          containers:
          - name: api
            image: repo.io/api:1.2
            args:
            - "--x=1"
            - "-c"
            - |
              echo a
              exit 0
            env: []
          x:
          - - 1
            - []
          - - {}
        "#);
    }

    #[test]
    fn what_is_the_authors_stands_as_he_wrote_it() {
        let text = "mode: 0644\nratio: 1.0\nflag: yes\nlist:\n- 010\n- 1_000\n- 0x1F\nbig: 18446744073709551615\nnone:\nscaled: 1e3\n";
        let loaded = crate::manifest::read("a.yaml", text);
        let document = &loaded.documents[0];
        let mut origins = OriginMap::default();
        let (by, mut after) = ("x".into(), Object::detached(document.object.root()));
        for operation in [
            crate::object::Operation::add(FieldPath::of(&["list"]).index(0), 8_i64),
            crate::object::Operation::add(FieldPath::of(&["added"]), 420_i64),
        ] {
            after.apply(&operation, |before| origins.follow(before, &operation, &by)).unwrap();
        }
        insta::assert_snapshot!(to_yaml_as_written(after.root(), document, &origins), @r#"
        mode: 0644
        ratio: 1.0
        flag: yes
        list:
        - 8
        - 010
        - 1_000
        - 0x1F
        big: 18446744073709551615
        none: null
        scaled: 1e3
        added: 420
        "#);
    }

    #[test]
    fn quotes_what_would_be_read_otherwise() {
        for text in [
            "yes",
            "y",
            "NO",
            "~",
            "null",
            "1",
            "0644",
            "1e3",
            "1_0",
            ".5",
            ".inf",
            "2001-01-01",
            "1:30",
            "",
            " a",
            "a: b",
            "a #b",
            "-",
            "- a",
            "=",
            "<<",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "0x1F",
            "a:",
            "{}",
            "[]",
            "#",
            "|",
            ">",
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert!(yaml(&json).starts_with('"'), "{text:?} must be quoted, not {}", yaml(&json));
        }
        for text in ["1.2.3", "api", "repo.io/api:1.2@sha256:ab", "a b", "$(POD)", "/var/run"] {
            assert_eq!(yaml(&serde_json::to_string(text).unwrap()), format!("{text}\n"));
        }
    }
}
