//! Lists: whatever has `items` is a list for kubectl, whatever its kind says; its items are judged as objects of their own.

use std::ops::Range;
use std::sync::Arc;

use super::document::{Document, InputError, Loaded, Within, complaint};
use super::locate;
use super::reader::Extent;
use crate::object::{Builder, FieldPath, Kind, Node, Object, quoted};

/// Adds a document, or the items of a list, to `loaded`.
pub(super) fn flatten(mut document: Document, loaded: &mut Loaded) {
    let extents = std::mem::take(&mut document.within.items);
    let root = document.object.root();
    let Some(items) = root.entry("items").filter(|items| matches!(items.kind(), Kind::List)) else {
        // `items: null` is a list without items for kubectl; of a kind that is none, it is an object that the API server will refuse.
        let is_empty_list = root.text("kind").ends_with("List") && root.entry("items").is_some_and(Node::is_null);
        if !is_empty_list {
            loaded.documents.push(document);
        }
        return;
    };
    let places = places(&extents, &document, items.len());
    let kind = root.text("kind");
    let inherited = (root.text("apiVersion"), kind.strip_suffix("List").unwrap_or(kind));
    let mut builder = Builder::parting(&document.object);
    for (index, item) in items.items().enumerate() {
        let suffix = FieldPath::of(&["items"]).index(index);
        let whole_path = document.within.whole_path.clone().join(&suffix);
        let place = places.get(index).cloned();
        let within = Within {
            line: place.as_ref().map_or(document.within.line, |place| place.line),
            indent: place.as_ref().map_or(document.within.indent, |place| place.indent),
            path: if place.is_some() { FieldPath::root() } else { document.within.path.clone().join(&suffix) },
            whole_path,
            ..document.within.clone()
        };
        let part = Document {
            source: Arc::clone(&document.source),
            index: document.index,
            first_line: place.as_ref().map_or(document.first_line, |place| place.line),
            range: place.map_or(document.range.clone(), |place| place.range),
            object: copy(item, inherited, &mut builder),
            within,
        };
        match complaint(part.object.root()) {
            None => flatten(part, loaded),
            Some(complaint) => {
                let position = locate(&part, &FieldPath::root());
                loaded.errors.push(InputError {
                    file: part.source.name.clone(),
                    line: position.line,
                    column: position.column,
                    message: format!("items[{index}] of this {}: {}", quoted(kind), complaint.message),
                });
            }
        }
    }
}

/// An item as an object of its own. An item with neither `apiVersion` nor `kind` inherits them, as in kubectl: a `PodList` of the API
/// server has bare items.
fn copy(item: Node<'_>, inherited: (&str, &str), builder: &mut Builder) -> Object {
    let is_bare = item.kind() == Kind::Map && item.text("apiVersion").is_empty() && item.text("kind").is_empty();
    if is_bare {
        builder.begin_map();
        for (key, value) in [("apiVersion", inherited.0), ("kind", inherited.1)] {
            builder.string(key);
            builder.string(value);
        }
        for (key, value) in item.entries().filter(|(key, _)| !matches!(*key, "apiVersion" | "kind")) {
            builder.string(key);
            write(value, builder);
        }
        builder.end();
    } else {
        write(item, builder);
    }
    builder.take()
}

fn write(node: Node<'_>, builder: &mut Builder) {
    match node.kind() {
        Kind::Null => builder.null(),
        Kind::Bool => builder.bool(node.as_bool().unwrap_or_default()),
        Kind::Int => builder.int(node.as_i64().unwrap_or_default()),
        Kind::Float => builder.float(node.as_f64().unwrap_or_default()),
        Kind::String => builder.string(node.as_str().unwrap_or_default()),
        Kind::List => {
            builder.begin_list();
            node.items().for_each(|item| write(item, builder));
            builder.end();
        }
        Kind::Map => {
            builder.begin_map();
            for (key, value) in node.entries() {
                builder.string(key);
                write(value, builder);
            }
            builder.end();
        }
    }
}

/// Where an item stands in its file.
#[derive(Clone, Debug)]
struct ItemPlace {
    range: Range<usize>,
    line: usize,
    indent: usize,
}

/// The places of the items, as the reader saw them; empty if it did not see each (merge keys, scalars), in which case positions are
/// found through the whole document.
fn places(items: &[Extent], document: &Document, count: usize) -> Vec<ItemPlace> {
    if items.len() != count {
        return Vec::new();
    }
    let base = document.range.start;
    let place = |(start, end): &Extent| ItemPlace {
        range: base + start.byte..base + end.byte,
        line: document.within.line + start.line - 1,
        indent: start.column - 1 + if start.line == 1 { document.within.indent } else { 0 },
    };
    items.iter().map(place).collect()
}
