//! The tape that a tree is written on: values one after the other, lists as runs of slots, maps as runs of entries.

/// One value of the tape. Lists hold the position of their first slot, maps that of their first entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Slot {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A range of `Object::text`.
    Text {
        start: u32,
        len: u32,
    },
    /// A range of `Tape::extra`: strings that held escapes, were changed by YAML, or were added by an edit.
    Extra {
        start: u32,
        len: u32,
    },
    List {
        start: u32,
        len: u32,
    },
    Map {
        start: u32,
        len: u32,
    },
}

/// One entry of a map. What its key is stands in 16 bytes, as a value does: a map is looked through from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    start: u32,
    len: u32,
    pub(super) print: u32,
    /// Whether the key is a range of `Tape::extra`.
    is_extra: bool,
    pub(super) value: Slot,
}

impl Entry {
    pub(super) fn key(&self) -> Slot {
        let Self { start, len, .. } = *self;
        if self.is_extra { Slot::Extra { start, len } } else { Slot::Text { start, len } }
    }
}

/// What nearly always tells two keys of one map apart: the length, the first and the last byte. Looking keys up is most of what judging
/// costs, and of the keys passed over no text is read.
#[expect(clippy::cast_possible_truncation, reason = "it need not tell all keys apart")]
pub(super) fn print(key: &[u8]) -> u32 {
    let (first, last) = match key {
        [] => (0, 0),
        [only] => (*only, 0),
        [first, .., last] => (*first, *last),
    };
    (key.len() as u32) << 16 | u32::from(first) << 8 | u32::from(last)
}

/// Where values are written, one after the other; nothing is taken off it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub(super) slots: Vec<Slot>,
    pub(super) entries: Vec<Entry>,
    pub(super) extra: String,
}

impl Tape {
    pub(super) fn string<'t>(&'t self, text: &'t str, slot: Slot) -> &'t str {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (text, start, len),
            Slot::Extra { start, len } => (self.extra.as_str(), start, len),
            _ => return "",
        };
        source.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// The same without a look at where its characters begin.
    pub(super) fn bytes<'t>(&'t self, text: &'t str, slot: Slot) -> &'t [u8] {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (text, start, len),
            Slot::Extra { start, len } => (self.extra.as_str(), start, len),
            _ => return &[],
        };
        source.as_bytes().get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// Appends a string to the side buffer.
    pub(super) fn extra(&mut self, value: &str) -> Slot {
        let start = position(self.extra.len());
        self.extra.push_str(value);
        Slot::Extra { start, len: position(value.len()) }
    }

    /// An entry of a map, from the slot of its key.
    pub(super) fn entry(&self, text: &str, key: Slot, value: Slot) -> Entry {
        let (start, len, is_extra) = match key {
            Slot::Text { start, len } => (start, len, false),
            Slot::Extra { start, len } => (start, len, true),
            // No reader pushes another kind as a key.
            _ => (0, 0, true),
        };
        Entry { start, len, print: print(self.bytes(text, key)), is_extra, value }
    }

    /// Moves the items that were pushed since `mark` to the tape.
    pub(super) fn list(&mut self, items: &mut Vec<Slot>, mark: usize) -> Slot {
        let start = position(self.slots.len());
        let run = items.get(mark..).unwrap_or_default();
        self.slots.extend_from_slice(run);
        let len = position(run.len());
        items.truncate(mark);
        Slot::List { start, len }
    }

    /// Moves the entries that were pushed since `mark` to the tape.
    pub(super) fn map(&mut self, entries: &mut Vec<Entry>, mark: usize) -> Slot {
        let start = position(self.entries.len());
        let run = entries.get(mark..).unwrap_or_default();
        self.entries.extend_from_slice(run);
        let len = position(run.len());
        entries.truncate(mark);
        Slot::Map { start, len }
    }
}

/// Documents are capped far below 4 GiB where they are read (8 MiB a review, 64 MiB a file), so a position always fits.
pub(super) fn position(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
