//! Manifests: files, folders and streams become objects that know where each of their fields stands.
//!
//! Texts are read as kubectl reads them: split at `---` lines, YAML 1.1 scalars as go-yaml v2 resolves them, merge keys, anything with
//! `items` flattened. What kubectl lets pass silently and a reviewer would miss (a duplicate key, an alias bomb, text after `...`) is
//! an error with its line. Only `discover` touches the disk.
//!
//! - `document`: [`load`] and [`read`]: a text becomes [`Document`]s, [`InputError`]s and [`Note`]s
//! - `split`: where one document ends and the next begins
//! - `reader`: YAML events to a sink: aliases, depth, duplicate keys
//! - `scalar`: what a scalar means, in go-yaml v2's rules
//! - `tree`: the sink that keeps positions and resolves merge keys
//! - `list`: `kind: List` and everything else with `items`
//! - `locate`: [`SourceMap`] and [`beginnings`]: from a field path to line and column
//! - `seek`: the sink that only finds where some fields begin
//! - `discover`: paths, folders, globs and standard input to files
//! - `emit`: [`to_yaml`], which writes what every YAML reader reads back alike

mod discover;
mod document;
mod emit;
mod list;
mod locate;
mod reader;
mod scalar;
mod seek;
mod split;
mod tree;

#[cfg(test)]
mod tests;

pub use discover::{Discovered, File, Origin, discover, load_file};
pub use document::{Document, InputError, Loaded, Note, Source, load, load_bytes, load_found, read};
pub use emit::{to_yaml, to_yaml_as_written};
pub use locate::{Beginning, Position, SourceMap, beginnings, locate};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Deepest nesting of lists and maps in one document.
pub const MAX_DEPTH: usize = 100;
/// Most nodes that the aliases of one document may expand to.
pub const MAX_ALIAS_NODES: usize = 10_000;
