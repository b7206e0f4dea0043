//! The source lines that a report shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::{Document, Source};

/// The texts of the files that a report names.
pub trait Excerpts {
    /// The whole text of a file, by the name that the report gives it; `None` if it is not at hand.
    fn text(&self, file: &str) -> Option<&str>;
}

/// No file is at hand: an audit of a live cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExcerpts;

impl Excerpts for NoExcerpts {
    fn text(&self, _: &str) -> Option<&str> {
        None
    }
}

/// The texts of loaded documents.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<String, Arc<Source>>);

impl Sources {
    /// The files that some documents come from.
    pub fn of<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Self {
        let mut sources = BTreeMap::new();
        for document in documents {
            if !sources.contains_key(&document.source.name) {
                sources.insert(document.source.name.clone(), Arc::clone(&document.source));
            }
        }
        Self(sources)
    }

    /// These and other files: the texts that errors point into ([`crate::manifest::Loaded::sources`]).
    #[must_use]
    pub fn with(mut self, others: impl IntoIterator<Item = Arc<Source>>) -> Self {
        self.0.extend(others.into_iter().map(|source| (source.name.clone(), source)));
        self
    }
}

impl Excerpts for Sources {
    fn text(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(|source| source.text.as_str())
    }
}

/// Finds lines of one text in ascending order without starting over: a file may hold ten thousand violations.
pub(super) struct Lines<'t> {
    text: &'t str,
    byte: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, byte: 0, line: 1 }
    }

    /// A line by its 1-based number, without its line end.
    pub(super) fn get(&mut self, number: usize) -> Option<&'t str> {
        if number < self.line {
            (self.byte, self.line) = (0, 1);
        }
        while self.line < number {
            self.byte += self.text.get(self.byte..)?.find('\n')? + 1;
            self.line += 1;
        }
        self.text.get(self.byte..)?.lines().next()
    }
}
