//! A document as a tree with positions: made on demand, for documents with merge keys and for those in which something must be located.

use std::collections::HashMap;

use super::reader::{Extent, Fault, Place, Sink, write_scalar};
use super::scalar::Scalar;
use crate::object::Builder;

/// A node and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) extent: Extent,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Leaf),
    List(Vec<Branch>),
    Map(Vec<Entry>),
}

/// A scalar that owns its text.
#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Text(String),
    Other(Scalar<'static>),
}

/// An entry of a map; `name` is `None` for a merge key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Option<String>,
    pub(super) extent: Extent,
    pub(super) value: Branch,
}

/// The sink.
#[derive(Debug, Default)]
pub(super) struct TreeSink {
    open: Vec<Open>,
    root: Option<Branch>,
}

#[derive(Debug)]
enum Open {
    List { extent: Extent, items: Vec<Branch> },
    Map { extent: Extent, entries: Vec<Entry>, key: Option<(Option<String>, Extent)> },
}

impl TreeSink {
    /// The finished tree; `None` for an empty document.
    pub(super) fn finish(self) -> Option<Branch> {
        self.root
    }

    fn add(&mut self, branch: Branch) {
        match self.open.last_mut() {
            None => self.root = Some(branch),
            Some(Open::List { items, .. }) => items.push(branch),
            Some(Open::Map { entries, key, .. }) => {
                if let Some((name, extent)) = key.take() {
                    entries.push(Entry { name, extent, value: branch });
                }
            }
        }
    }

    fn name(&mut self, name: Option<String>, extent: Extent) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some((name, extent));
        }
    }
}

impl Sink for TreeSink {
    const MERGES: bool = true;

    fn scalar(&mut self, value: Scalar<'_>, extent: Extent) {
        let leaf = match value {
            Scalar::Text(text) => Leaf::Text(text.to_owned()),
            Scalar::Null => Leaf::Other(Scalar::Null),
            Scalar::Bool(value) => Leaf::Other(Scalar::Bool(value)),
            Scalar::Int(value) => Leaf::Other(Scalar::Int(value)),
            Scalar::Unsigned(value) => Leaf::Other(Scalar::Unsigned(value)),
            Scalar::Float(value) => Leaf::Other(Scalar::Float(value)),
        };
        self.add(Branch { extent, value: Value::Scalar(leaf) });
    }

    fn key(&mut self, key: &str, extent: Extent) {
        self.name(Some(key.to_owned()), extent);
    }

    fn merge_key(&mut self, extent: Extent) {
        self.name(None, extent);
    }

    fn begin_list(&mut self, extent: Extent) {
        self.open.push(Open::List { extent, items: Vec::new() });
    }

    fn begin_map(&mut self, extent: Extent) {
        self.open.push(Open::Map { extent, entries: Vec::new(), key: None });
    }

    fn end(&mut self, end: Extent) -> Result<(), Fault> {
        let branch = match self.open.pop() {
            None => return Ok(()),
            Some(Open::List { extent, items }) => {
                let last = items.last().map(|item| item.extent.1);
                Branch { extent: (extent.0, closing(extent, end, last)), value: Value::List(items) }
            }
            Some(Open::Map { extent, entries, .. }) => {
                let last = entries.last().map(|entry| entry.value.extent.1.max_by_byte(entry.extent.1));
                let extent = (extent.0, closing(extent, end, last));
                Branch { extent, value: Value::Map(merge(entries)?) }
            }
        };
        self.add(branch);
        Ok(())
    }
}

impl Place {
    fn max_by_byte(self, other: Self) -> Self {
        if other.byte > self.byte { other } else { self }
    }
}

/// Where a list or map ends: at its bracket in flow style; in block style the parser's end is the next token, so at the last child.
fn closing(begin: Extent, end: Extent, last: Option<Place>) -> Place {
    let is_flow = end.1.byte > end.0.byte;
    if is_flow { end.1 } else { last.unwrap_or(begin.1) }
}

/// Resolves merge keys as go-yaml v2 does: in the order of the text, the later one wins, be it merged or written out; of a list of
/// maps the first wins.
fn merge(entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
    if entries.iter().all(|entry| entry.name.is_some()) {
        return Ok(entries);
    }
    let mut merged = Vec::new();
    let mut places = HashMap::new();
    for entry in entries {
        if entry.name.is_some() {
            set(&mut merged, &mut places, entry);
            continue;
        }
        let refuse = || Fault::At(entry.extent.0, "`<<` takes a map or a list of maps: correct the value, or quote the key".into());
        match entry.value.value {
            Value::Map(inner) => inner.into_iter().for_each(|entry| set(&mut merged, &mut places, entry)),
            Value::List(maps) => {
                for map in maps.into_iter().rev() {
                    let Value::Map(inner) = map.value else { return Err(refuse()) };
                    inner.into_iter().for_each(|entry| set(&mut merged, &mut places, entry));
                }
            }
            Value::Scalar(_) => return Err(refuse()),
        }
    }
    Ok(merged)
}

fn set(merged: &mut Vec<Entry>, places: &mut HashMap<String, usize>, entry: Entry) {
    let name = entry.name.clone().unwrap_or_default();
    match places.get(&name).and_then(|index| merged.get_mut(*index)) {
        Some(known) => *known = entry,
        None => {
            places.insert(name, merged.len());
            merged.push(entry);
        }
    }
}

impl Branch {
    /// Writes the tree to an object's builder.
    pub(super) fn write(&self, builder: &mut Builder) {
        match &self.value {
            Value::Scalar(Leaf::Text(text)) => builder.string(text),
            Value::Scalar(Leaf::Other(value)) => write_scalar(builder, *value),
            Value::List(items) => {
                builder.begin_list();
                items.iter().for_each(|item| item.write(builder));
                builder.end();
            }
            Value::Map(entries) => {
                builder.begin_map();
                for entry in entries {
                    builder.string(entry.name.as_deref().unwrap_or_default());
                    entry.value.write(builder);
                }
                builder.end();
            }
        }
    }
}
