//! A text becomes documents: JSON or YAML, one or many, lists flattened, with errors and notes beside them.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::list;
use super::reader::{self, Extent, Fault, ObjectSink, Place};
use super::split::{self, Chunk};
use super::tree::TreeSink;
use super::{MAX_DEPTH, MAX_FILE_BYTES};
use crate::object::{Builder, FieldPath, Kind, Node, Object, escaped};

/// A text and the name under which it is shown.
#[derive(Debug)]
pub struct Source {
    /// File name as the user gave it, or `<stdin>`.
    pub name: String,
    /// The whole text, without a byte order mark.
    pub text: Arc<String>,
}

/// One object of a file. Positions are made on demand: see [`super::SourceMap`].
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub source: Arc<Source>,
    /// Number of the document in its file, from 0; items of a list share their list's.
    pub index: usize,
    /// 1-based line where the object begins.
    pub first_line: usize,
    /// Bytes of the text that the object was read from.
    pub range: Range<usize>,
    /// The object.
    pub object: Object,
    pub(super) within: Within,
}

/// Where an object stands in its text and in the text of its whole document.
#[derive(Clone, Debug, Default)]
pub(super) struct Within {
    /// Line of the first byte of the range.
    pub(super) line: usize,
    /// Column (from 0) of the first byte of the range.
    pub(super) indent: usize,
    /// Path of the object inside its range.
    pub(super) path: FieldPath,
    /// The whole document: its bytes, first line, column, and the object's path in it.
    pub(super) whole: Range<usize>,
    pub(super) whole_line: usize,
    pub(super) whole_indent: usize,
    pub(super) whole_path: FieldPath,
    /// Extents of the items of a list, inside the range; gone once it is flattened.
    pub(super) items: Vec<Extent>,
}

/// What could not be read, and where: exit code 3.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputError {
    /// File as shown to the user.
    pub file: String,
    /// 1-based line; 0 when the error concerns the file as a whole.
    pub line: usize,
    /// 1-based column; 0 when the error concerns the line or the file as a whole.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl std::fmt::Display for InputError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(formatter, "{}: {}", escaped(&self.file), self.message),
            (line, 0) => write!(formatter, "{}:{line}: {}", escaped(&self.file), self.message),
            (line, column) => write!(formatter, "{}:{line}:{column}: {}", escaped(&self.file), self.message),
        }
    }
}

impl std::error::Error for InputError {}

/// A remark that changes no exit code: what was skipped, what is read otherwise than it looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// File as shown to the user.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
    /// The remark.
    pub message: String,
}

/// What a text held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects, in order.
    pub documents: Vec<Document>,
    /// What could not be read; the documents beside it are complete.
    pub errors: Vec<InputError>,
    /// Remarks.
    pub notes: Vec<Note>,
    /// The texts of files with errors, so that a report can show the lines.
    pub sources: Vec<Arc<Source>>,
    /// Documents that are no Kubernetes objects and were passed over ([`load_found`] only).
    pub skipped: usize,
}

impl Loaded {
    /// Adds what another text held.
    pub fn extend(&mut self, other: Self) {
        self.documents.extend(other.documents);
        self.errors.extend(other.errors);
        self.notes.extend(other.notes);
        self.sources.extend(other.sources);
        self.skipped += other.skipped;
    }
}

/// Reads manifests: every document must be a Kubernetes object, lists are flattened into their items.
#[must_use]
pub fn load(name: &str, text: &str) -> Loaded {
    objects(read(name, text), false)
}

/// As [`load`], for a file that nobody named, found in a folder: a document with neither `apiVersion` nor `kind` is skipped, noted and
/// counted.
#[must_use]
pub fn load_found(name: &str, text: &str) -> Loaded {
    objects(read(name, text), true)
}

/// As [`load`] or (with `found`) [`load_found`], over the bytes of a file.
#[must_use]
pub fn load_bytes(name: &str, bytes: &[u8], found: bool) -> Loaded {
    match std::str::from_utf8(bytes) {
        Ok(text) => objects(read(name, text), found),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = "not UTF-8 text: save the file as UTF-8 (UTF-16 is not read)".to_owned();
            Loaded { errors: vec![InputError { file: name.into(), line, column: 0, message }], ..Loaded::default() }
        }
    }
}

/// Reads documents of any shape, such as settings: nothing is required of them and nothing is flattened. Empty documents are left out.
#[must_use]
pub fn read(name: &str, text: &str) -> Loaded {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Arc::new(Source { name: name.into(), text: Arc::new(text.to_owned()) });
    let mut loaded = Loaded::default();
    if text.len() > MAX_FILE_BYTES {
        let message = format!("larger than {} MiB: split the file", MAX_FILE_BYTES >> 20);
        loaded.errors.push(InputError { file: name.into(), line: 0, column: 0, message });
        return loaded;
    }
    Reading { source: &source, loaded: &mut loaded, index: 0, builder: Builder::reading(&source.text) }.all();
    if !loaded.errors.is_empty() {
        loaded.sources.push(source);
    }
    loaded
}

struct Reading<'r> {
    source: &'r Arc<Source>,
    loaded: &'r mut Loaded,
    index: usize,
    builder: Builder,
}

impl Reading<'_> {
    fn all(&mut self) {
        let text = Arc::clone(&self.source.text);
        if !text.trim_start().starts_with(['{', '[']) {
            self.yaml(0);
            return;
        }
        let json = JsonValues::of(&text);
        let count = json.values.len();
        for range in json.values {
            self.json(range);
        }
        let Some(failure) = json.failure else { return };
        // The rest may be YAML: kubectl, too, switches over once JSON fails. What JSON says is the better message if both fail.
        let (errors, read) = (self.loaded.errors.len(), self.loaded.documents.len());
        self.yaml(json.end);
        let is_template = text.get(json.end..).is_some_and(|rest| rest.trim_start().starts_with("{{"));
        if self.loaded.errors.len() > errors && self.loaded.documents.len() == read && (count > 0 || text.contains('"')) && !is_template {
            self.loaded.errors.truncate(errors);
            let message = format!("not valid JSON: {}", failure.2);
            self.loaded.errors.push(InputError { file: self.source.name.clone(), line: failure.0, column: failure.1, message });
        }
    }

    fn json(&mut self, range: Range<usize>) {
        let text = Arc::clone(&self.source.text);
        let Some(value) = text.get(range.clone()) else { return };
        let before = text.get(..range.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let indent = before.get(line_start..).unwrap_or_default().chars().count();
        let chunk = Chunk { range, first_line: before.matches('\n').count() + 1, bad_separator: None };
        match Object::from_json(value) {
            // Only the reader with positions can say where.
            Ok(object) if !is_sound(object.root(), 0) => self.chunk(&chunk, indent),
            Ok(object) => {
                // Only a list needs the places of its items, and only the reader with positions knows them.
                let is_list = object.root().get("items").is_some_and(|items| items.kind() == Kind::List);
                let items = is_list.then(|| self::object(value, &mut self.builder, &mut Vec::new()).ok().flatten()).flatten();
                self.push(object, &chunk, indent, items.map(|(_, items)| items).unwrap_or_default());
            }
            Err(_) => self.chunk(&chunk, indent),
        }
    }

    fn yaml(&mut self, from: usize) {
        let text = Arc::clone(&self.source.text);
        let line = text.get(..from).unwrap_or_default().matches('\n').count() + 1;
        for chunk in split::split(&text, from, line) {
            self.chunk(&chunk, 0);
        }
    }

    fn chunk(&mut self, chunk: &Chunk, indent: usize) {
        if let Some((line, message)) = &chunk.bad_separator {
            self.error(*line, 4, message.clone());
        }
        let source = Arc::clone(self.source);
        let text = source.text.get(chunk.range.clone()).unwrap_or_default();
        let mut remarks = Vec::new();
        match object(text, &mut self.builder, &mut remarks) {
            Ok(Some((object, items))) => self.push(object, chunk, indent, items),
            Ok(None) => {}
            Err((place, message)) => {
                let message = hint(message, text);
                let column = if place.line == 1 { place.column + indent } else { place.column };
                self.error(place.line + chunk.first_line - 1, column, message);
            }
        }
        for (place, message) in remarks {
            let line = place.line + chunk.first_line - 1;
            self.loaded.notes.push(Note { file: source.name.clone(), line, column: place.column, message });
        }
    }

    fn error(&mut self, line: usize, column: usize, message: String) {
        self.loaded.errors.push(InputError { file: self.source.name.clone(), line, column, message });
    }

    fn push(&mut self, object: Object, chunk: &Chunk, indent: usize, items: Vec<Extent>) {
        let index = self.index;
        self.index += 1;
        if object.root().is_null() {
            return;
        }
        // A document begins at its first line with content, not at the comment or blank line above it.
        let text = self.source.text.get(chunk.range.clone()).unwrap_or_default();
        let above = text.lines().take_while(|line| line.trim().is_empty() || line.trim_start().starts_with('#')).count();
        let within = Within {
            line: chunk.first_line,
            indent,
            path: FieldPath::root(),
            whole: chunk.range.clone(),
            whole_line: chunk.first_line,
            whole_indent: indent,
            whole_path: FieldPath::root(),
            items,
        };
        let first_line = chunk.first_line + above;
        self.loaded.documents.push(Document {
            source: Arc::clone(self.source),
            index,
            first_line,
            range: chunk.range.clone(),
            object,
            within,
        });
    }
}

/// An object, and the extents of its `items` if it has such.
type WithItems = (Object, Vec<Extent>);

/// Reads one YAML document: straight into the builder, or through the tree if it has merge keys.
fn object(text: &str, builder: &mut Builder, remarks: &mut reader::Remarks) -> Result<Option<WithItems>, (Place, String)> {
    let failed = |fault| match fault {
        Fault::At(place, message) => (place, message),
        Fault::Merge => (Place::default(), "a merge key cannot be resolved here".to_owned()),
    };
    builder.clear();
    let mut sink = ObjectSink::over(builder);
    match reader::read(text, &mut sink, remarks) {
        Ok(any) => return Ok(any.then(|| (sink.builder.take(), sink.items))),
        Err(Fault::Merge) => remarks.clear(),
        Err(fault) => return Err(failed(fault)),
    }
    let mut sink = TreeSink::default();
    reader::read(text, &mut sink, remarks).map_err(failed)?;
    let Some(tree) = sink.finish() else { return Ok(None) };
    builder.clear();
    tree.write(builder);
    Ok(Some((builder.take(), Vec::new())))
}

/// Adds what helps to the parser's words: a text with `{{` that does not parse is most likely a template.
fn hint(message: String, text: &str) -> String {
    if text.contains("{{") {
        format!("{message}; this looks like a Helm template: render it first (`helm template ... | doorward audit -`)")
    } else {
        message
    }
}

/// Where the values of a JSON stream stand.
struct JsonValues {
    values: Vec<Range<usize>>,
    /// End of the last value.
    end: usize,
    /// Why the stream stops being JSON: line, column, message.
    failure: Option<(usize, usize, String)>,
}

impl JsonValues {
    fn of(text: &str) -> Self {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
        let mut found = Self { values: Vec::new(), end: 0, failure: None };
        loop {
            match stream.next() {
                None => return found,
                Some(Ok(_)) => {
                    let rest = text.get(found.end..stream.byte_offset()).unwrap_or_default();
                    let start = found.end + rest.len() - rest.trim_start().len();
                    found.end = stream.byte_offset();
                    found.values.push(start..found.end);
                }
                Some(Err(error)) => {
                    let mut message = error.to_string();
                    message.truncate(message.rfind(" at line ").unwrap_or(message.len()));
                    let (line, column) = place(text, error.line(), error.column());
                    found.failure = Some((line, column, message));
                    return found;
                }
            }
        }
    }
}

/// A place as editors count it. `serde_json`'s is that of the last byte read: a line break is byte 0 of the line that it opens, and the
/// mistake then stands at the end of the line before.
fn place(text: &str, line: usize, bytes: usize) -> (usize, usize) {
    let line_of = |number: usize| text.split('\n').nth(number.saturating_sub(1)).unwrap_or_default();
    if bytes == 0 && line > 1 {
        return (line - 1, line_of(line - 1).chars().count() + 1);
    }
    let read = line_of(line);
    (line.max(1), read.get(..read.floor_char_boundary(bytes)).unwrap_or_default().chars().count().max(1))
}

/// Whether no map holds a key twice and nothing is nested too deep.
fn is_sound(node: Node<'_>, depth: usize) -> bool {
    if node.is_empty() {
        return true;
    }
    if depth >= MAX_DEPTH {
        return false;
    }
    let mut keys: Vec<_> = node.entries().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair.first() != pair.last())
        && node.entries().all(|(_, value)| is_sound(value, depth + 1))
        && node.items().all(|item| is_sound(item, depth + 1))
}

/// Requires objects and flattens lists.
fn objects(read: Loaded, found: bool) -> Loaded {
    let mut loaded = Loaded { errors: read.errors, notes: read.notes, sources: read.sources, ..Loaded::default() };
    let source = read.documents.first().map(|document| Arc::clone(&document.source));
    for document in read.documents {
        let name = document.source.name.clone();
        let at = (document.first_line, 1);
        match complaint(document.object.root()) {
            None => list::flatten(document, &mut loaded),
            Some(complaint) if found && complaint.is_foreign => {
                loaded.skipped += 1;
                let message = format!("skipped, no Kubernetes object: {}", complaint.message);
                loaded.notes.push(Note { file: name, line: at.0, column: at.1, message });
            }
            Some(complaint) => loaded.errors.push(InputError { file: name, line: at.0, column: at.1, message: complaint.message }),
        }
    }
    loaded.errors.sort();
    if loaded.sources.is_empty() && !loaded.errors.is_empty() {
        loaded.sources.extend(source);
    }
    loaded
}

/// Why a document is no Kubernetes object.
pub(super) struct Complaint {
    pub(super) message: String,
    /// Whether it clearly was not meant to be one.
    pub(super) is_foreign: bool,
}

pub(super) fn complaint(root: Node<'_>) -> Option<Complaint> {
    let kind = match root.kind() {
        Kind::Map => {
            let missing = |field: &str| root.get(field).and_then(Node::as_str).is_none_or(str::is_empty);
            let message = match (missing("apiVersion"), missing("kind")) {
                (false, false) => return None,
                (true, true) => "it has no `apiVersion` and no `kind`: add both, as in `apiVersion: v1` and `kind: Pod`",
                (true, false) => "it has no `apiVersion` (a string such as `v1` or `apps/v1`): add it",
                (false, true) => "it has no `kind` (a string such as `Pod`): add it",
            };
            return Some(Complaint { message: message.into(), is_foreign: missing("apiVersion") && missing("kind") });
        }
        Kind::List => "a list",
        Kind::String => "a string",
        Kind::Bool => "a boolean",
        Kind::Int | Kind::Float => "a number",
        Kind::Null => "nothing",
    };
    let message = format!("the document is {kind}, not a map with `apiVersion` and `kind`: put each object into a document of its own");
    Some(Complaint { message, is_foreign: true })
}
