//! What a Kubernetes object is to Doorward: a tree over the bytes received, paths into it, changes to it.
//!
//! The room imports nothing of the house. [`Object`] and [`FieldPath`] are border types: every other room speaks in them.
//!
//! - `tree`: [`Object`], and [`Node`], the view of one value; `tape` what it is written on; `builder` the [`Builder`] for readers of other formats
//! - `json`: JSON in and out, digests
//! - `scan`: the plain part of JSON, straight onto the tape
//! - `serialize`: Rust values onto the tape
//! - `field_path`: [`FieldPath`], printed as apimachinery prints it
//! - `foreign`: text that somebody else chose, made safe to show
//! - `patch`: JSON Patch operations and their application
//! - `content`: [`Content`], what a patch puts into an object
//! - `write`: strings as JSON writes them
//! - `origin`: from a path of a patched object back to the author's
//! - `resource`: groups, versions, kinds, resources
//! - `pod_template`: where each workload kind keeps its pod template
//! - `selector`: label selectors
//! - `fact`: [`Fact`], what is known of related objects

mod builder;
mod content;
mod fact;
mod field_path;
mod foreign;
mod json;
mod origin;
mod patch;
mod pod_template;
mod resource;
mod scan;
mod selector;
mod serialize;
mod tape;
mod tree;
mod write;

pub use builder::Builder;
pub use content::Content;
pub use fact::Fact;
pub use field_path::{FieldPath, Segment};
pub use foreign::{escape, escaped, is_deceptive, quoted};
pub use json::{ReadError, ShapeError, hex_digest, nearest_name};
pub use origin::{Adder, Authored, OriginMap};
pub use patch::{Action, Operation, PatchError};
pub use pod_template::{CONTAINER_LISTS, POD_TEMPLATE_KINDS, PodTemplate, PodTemplateKind, TemplatePlace};
pub use resource::{GroupVersionKind, GroupVersionResource, is_cluster_scoped, namespace_of, resource_of};
pub use selector::{LabelSelector, Operator, Requirement};
pub use tree::{Kind, Node, Object};
