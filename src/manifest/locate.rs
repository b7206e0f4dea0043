//! From a field path to line and column: the document's text is read once more, with positions.

use std::ops::Range;

use super::document::Document;
use super::reader::{self, Fault, Place, Sink};
use super::seek::Seeker;
use super::tree::{Branch, TreeSink, Value};
use crate::object::{FieldPath, Segment};

/// Where a field stands in its file. Lines and columns are 1-based, columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line of the field's key, or of the list item.
    pub line: usize,
    /// Column of the field's key, or of the list item.
    pub column: usize,
    /// Line where the key or item ends.
    pub end_line: usize,
    /// Column behind the last character.
    pub end_column: usize,
    /// Bytes of the file's text ([`super::Source::text`]).
    pub span: Range<usize>,
    /// Whether the field itself is there; else this is its nearest ancestor that is.
    pub exact: bool,
}

/// Line and column where a field begins, as a [`Position`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Line of the field's key, or of the list item.
    pub line: usize,
    /// Column of the field's key, or of the list item.
    pub column: usize,
}

/// The positions of one document. Making one costs a parse of that document; nothing is kept elsewhere.
#[derive(Debug)]
pub struct SourceMap {
    tree: Option<Branch>,
    path: FieldPath,
    /// What to add to the tree's lines and bytes.
    line: usize,
    byte: usize,
    /// Spaces that stand before the text in the tree's bytes, but not in the file.
    pad: usize,
    limit: usize,
}

/// Where the field at `path` of a document stands. For many fields of one document, make a [`SourceMap`].
#[must_use]
pub fn locate(document: &Document, path: &FieldPath) -> Position {
    SourceMap::of(document).locate(path)
}

/// Where the fields at some paths of a document begin, as [`SourceMap::locate`] says it of each. Costs less than a [`SourceMap`]: the text is
/// read to the last of the fields, and nothing of it is kept.
#[must_use]
pub fn beginnings(document: &Document, paths: &[&FieldPath]) -> Vec<Beginning> {
    let within = &document.within;
    let mut seeker = Seeker::over(&within.path, paths);
    let places = read(document, &document.range, within.indent, &mut seeker).ok().and_then(|_| seeker.places());
    if let Some(places) = places {
        let beginning = |place: Place| Beginning { line: within.line - 1 + place.line, column: place.column };
        return places.into_iter().map(beginning).collect();
    }
    let map = SourceMap::of(document);
    let positions = paths.iter().map(|path| map.locate(path));
    positions.map(|Position { line, column, .. }| Beginning { line, column }).collect()
}

/// Reads a part of a document's file that begins behind `indent` characters of its line.
fn read(document: &Document, range: &Range<usize>, indent: usize, sink: &mut impl Sink) -> Result<bool, Fault> {
    let text = document.source.text.get(range.clone()).unwrap_or_default();
    if indent == 0 {
        return reader::read(text, sink, &mut Vec::new());
    }
    // Spaces in place of what stands before the text on its line: columns come out right, and a block item stays a block.
    reader::read(&format!("{:indent$}{text}", ""), sink, &mut Vec::new())
}

impl SourceMap {
    /// Reads the document's text once more. An item of a list is read alone, unless it needs the rest for its aliases.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let within = &document.within;
        let narrow = Self::over(document, &document.range, within.line, within.indent, &within.path);
        if narrow.tree.is_some() {
            return narrow;
        }
        Self::over(document, &within.whole, within.whole_line, within.whole_indent, &within.whole_path)
    }

    fn over(document: &Document, range: &Range<usize>, line: usize, indent: usize, path: &FieldPath) -> Self {
        let mut sink = TreeSink::default();
        let tree = read(document, range, indent, &mut sink).ok().and_then(|_| sink.finish());
        Self { tree, path: path.clone(), line: line - 1, byte: range.start, pad: indent, limit: range.end }
    }

    /// Where the field at `path` stands: the key of a map's field, the whole of a list's item; the nearest ancestor if it is absent.
    #[must_use]
    pub fn locate(&self, path: &FieldPath) -> Position {
        let Some(mut branch) = self.tree.as_ref() else {
            let line = self.line + 1;
            return Position { line, column: 1, end_line: line, end_column: 1, span: self.byte..self.byte, exact: false };
        };
        let mut extent = first_key(branch);
        let mut exact = true;
        for segment in self.path.segments().iter().chain(path.segments()) {
            let next = match (&branch.value, segment) {
                (Value::Map(entries), Segment::Field(name) | Segment::Key(name)) => {
                    entries.iter().rev().find(|entry| entry.name.as_deref() == Some(name)).map(|entry| (entry.extent, &entry.value))
                }
                (Value::List(items), Segment::Index(index)) => items.get(*index).map(|item| (item.extent, item)),
                _ => None,
            };
            let Some(found) = next else {
                exact = false;
                break;
            };
            (extent, branch) = found;
        }
        self.position(extent, exact)
    }

    /// Where the scalar at `path` stands, if one does.
    pub(super) fn scalar(&self, path: &FieldPath) -> Option<Range<usize>> {
        let mut branch = self.tree.as_ref()?;
        for segment in self.path.segments().iter().chain(path.segments()) {
            branch = match (&branch.value, segment) {
                (Value::Map(entries), Segment::Field(name) | Segment::Key(name)) => {
                    &entries.iter().rev().find(|entry| entry.name.as_deref() == Some(name))?.value
                }
                (Value::List(items), Segment::Index(index)) => items.get(*index)?,
                _ => return None,
            };
        }
        matches!(branch.value, Value::Scalar(_)).then(|| self.position(branch.extent, true).span)
    }

    fn position(&self, (start, end): (Place, Place), exact: bool) -> Position {
        let byte = |place: Place| (self.byte + place.byte.saturating_sub(self.pad)).min(self.limit);
        Position {
            line: self.line + start.line,
            column: start.column,
            end_line: self.line + end.line,
            end_column: end.column,
            span: byte(start)..byte(end),
            exact,
        }
    }
}

/// The root is shown by its first key.
fn first_key(root: &Branch) -> (Place, Place) {
    match &root.value {
        Value::Map(entries) => entries.first().map_or(root.extent, |entry| entry.extent),
        _ => root.extent,
    }
}
