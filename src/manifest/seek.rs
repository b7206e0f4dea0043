//! Where some fields of a document begin: found in one pass that keeps no tree and ends at the last of them.

use super::reader::{Extent, Fault, Place, Sink};
use super::scalar::Scalar;
use crate::object::{FieldPath, Segment};

/// The sink that looks for the beginnings of some fields.
#[derive(Debug)]
pub(super) struct Seeker<'p> {
    sought: Vec<Sought<'p>>,
    /// How many of them are not found yet.
    missing: usize,
    /// The lists and maps around what comes next.
    open: Vec<Open>,
    /// Where the document is shown: at its first key.
    root: Option<Place>,
    has_key: bool,
}

/// A field that is looked for.
#[derive(Debug)]
struct Sought<'p> {
    /// The path of the object in the text, and of the field in the object.
    path: (&'p [Segment], &'p [Segment]),
    /// How many segments are found.
    depth: usize,
    /// Where the last of them begins.
    place: Option<Place>,
    /// Whether nothing below it can be found any more.
    is_settled: bool,
}

#[derive(Debug)]
enum Open {
    Map,
    /// With the number of items that have begun.
    List(usize),
}

impl Sought<'_> {
    fn segment(&self, index: usize) -> Option<&Segment> {
        let (above, below) = self.path;
        above.get(index).or_else(|| below.get(index.checked_sub(above.len())?))
    }
}

impl<'p> Seeker<'p> {
    /// Looks for the fields at some paths of an object that stands at `object` in the text.
    pub(super) fn over(object: &'p FieldPath, paths: &[&'p FieldPath]) -> Self {
        let sought = |path: &&'p FieldPath| {
            let path = (object.segments(), path.segments());
            Sought { is_settled: path.0.is_empty() && path.1.is_empty(), path, depth: 0, place: None }
        };
        let sought: Vec<_> = paths.iter().map(sought).collect();
        let missing = sought.iter().filter(|sought| !sought.is_settled).count();
        Self { sought, missing, open: Vec::new(), root: None, has_key: false }
    }

    /// Where each of the fields begins, or its nearest ancestor that is there; nothing if the text holds no document.
    pub(super) fn places(&self) -> Option<Vec<Place>> {
        let root = self.root?;
        Some(self.sought.iter().map(|sought| sought.place.unwrap_or(root)).collect())
    }

    /// A key or an item of the innermost list or map begins.
    fn step(&mut self, is: impl Fn(&Segment) -> bool, place: Place) {
        let depth = self.open.len();
        for sought in self.sought.iter_mut().filter(|sought| !sought.is_settled && sought.depth + 1 == depth) {
            if sought.segment(sought.depth).is_some_and(&is) {
                (sought.depth, sought.place) = (depth, Some(place));
                if sought.segment(depth).is_none() {
                    sought.is_settled = true;
                    self.missing -= 1;
                }
            }
        }
    }

    /// A value begins.
    fn begin(&mut self, (place, _): Extent) {
        match self.open.last_mut() {
            None => self.root = Some(place),
            Some(Open::Map) => {}
            Some(Open::List(begun)) => {
                let index = *begun;
                *begun += 1;
                self.step(|segment| *segment == Segment::Index(index), place);
            }
        }
    }

    /// A value has ended, and with it whatever was looked for in it.
    fn leave(&mut self) {
        let depth = self.open.len();
        for sought in self.sought.iter_mut().filter(|sought| !sought.is_settled && sought.depth == depth) {
            sought.is_settled = true;
            self.missing -= 1;
        }
    }
}

impl Sink for Seeker<'_> {
    const MERGES: bool = false;

    fn scalar(&mut self, _: Scalar<'_>, extent: Extent) {
        self.begin(extent);
        self.leave();
    }

    fn key(&mut self, key: &str, extent: Extent) {
        if self.open.len() == 1 && !std::mem::replace(&mut self.has_key, true) {
            self.root = Some(extent.0);
        }
        self.step(|segment| matches!(segment, Segment::Field(name) | Segment::Key(name) if name == key), extent.0);
    }

    fn begin_list(&mut self, extent: Extent) {
        self.begin(extent);
        self.open.push(Open::List(0));
    }

    fn begin_map(&mut self, extent: Extent) {
        self.begin(extent);
        self.open.push(Open::Map);
    }

    fn end(&mut self, _: Extent) -> Result<(), Fault> {
        self.open.pop();
        self.leave();
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.missing == 0 && self.has_key
    }
}
