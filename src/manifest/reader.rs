//! From YAML events to a [`Sink`]: aliases replayed under a cap, depth bounded, duplicate keys refused with both their places.
//!
//! There is one driver and three sinks: the object's builder (fast: no position is kept), the tree with positions, and the seeker that finds
//! a few. So what `audit` judges and what it points at cannot differ.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, options};

use super::scalar::{self, Scalar};
use super::{MAX_ALIAS_NODES, MAX_DEPTH};
use crate::object::{Builder, quoted};

/// A place in the text given to the reader: 1-based line and column (in characters), byte offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) byte: usize,
}

impl Place {
    fn start(span: &Span) -> Self {
        Self::of(span.start)
    }

    fn of(marker: granit_parser::Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1, byte: marker.byte_offset().unwrap_or_default() }
    }
}

/// Beginning and end of a node.
pub(super) type Extent = (Place, Place);

fn extent(span: &Span) -> Extent {
    (Place::of(span.start), Place::of(span.end))
}

/// Why a text could not be read.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The sink cannot resolve merge keys: read the text into a tree.
    Merge,
    /// An error at a place.
    At(Place, String),
}

/// What the events of one document are written to. In a map, keys and values alternate.
pub(super) trait Sink {
    /// Whether `merge_key` works.
    const MERGES: bool;
    fn scalar(&mut self, value: Scalar<'_>, extent: Extent);
    fn key(&mut self, key: &str, extent: Extent);
    fn merge_key(&mut self, _extent: Extent) {}
    fn begin_list(&mut self, extent: Extent);
    fn begin_map(&mut self, extent: Extent);
    fn end(&mut self, extent: Extent) -> Result<(), Fault>;
    /// Whether the rest of the document does not matter.
    fn is_done(&self) -> bool {
        false
    }
}

/// The fast sink: the object's builder, and where the items of a list stand.
#[derive(Debug)]
pub(super) struct ObjectSink<'b> {
    pub(super) builder: &'b mut Builder,
    /// Extents of the lists and maps in the list at `items`; scalars among them are left out.
    pub(super) items: Vec<Extent>,
    depth: usize,
    in_items: bool,
    item: Place,
}

impl<'b> ObjectSink<'b> {
    pub(super) fn over(builder: &'b mut Builder) -> Self {
        Self { builder, items: Vec::new(), depth: 0, in_items: false, item: Place::default() }
    }

    fn begin(&mut self, extent: Extent) {
        self.depth += 1;
        if self.depth == 3 {
            self.item = extent.0;
        }
    }
}

impl Sink for ObjectSink<'_> {
    const MERGES: bool = false;

    fn scalar(&mut self, value: Scalar<'_>, _: Extent) {
        write_scalar(self.builder, value);
    }

    fn key(&mut self, key: &str, _: Extent) {
        if self.depth == 1 {
            self.in_items = key == "items";
        }
        self.builder.string(key);
    }

    fn begin_list(&mut self, extent: Extent) {
        self.begin(extent);
        self.builder.begin_list();
    }

    fn begin_map(&mut self, extent: Extent) {
        self.begin(extent);
        self.builder.begin_map();
    }

    fn end(&mut self, extent: Extent) -> Result<(), Fault> {
        self.depth -= 1;
        if self.depth == 2 && self.in_items {
            self.items.push((self.item, extent.1));
        }
        self.builder.end();
        Ok(())
    }
}

/// Pushes a scalar.
pub(super) fn write_scalar(builder: &mut Builder, value: Scalar<'_>) {
    match value {
        Scalar::Null => builder.null(),
        Scalar::Bool(value) => builder.bool(value),
        Scalar::Int(value) => builder.int(value),
        #[expect(clippy::cast_precision_loss, reason = "Kubernetes reads an integer beyond 64 signed bits as a float")]
        Scalar::Unsigned(value) => builder.float(value as f64),
        Scalar::Float(value) => builder.float(value),
        Scalar::Text(value) => builder.string(value),
    }
}

/// A remark at a place: correct, but perhaps not what the author thinks.
pub(super) type Remarks = Vec<(Place, String)>;

/// Reads the one document of `text` into `sink`. Answers whether there was any node.
///
/// # Errors
/// [`Fault::At`] for what YAML, JSON or Kubernetes does not allow; [`Fault::Merge`] if the sink cannot merge and the text asks for it.
pub(super) fn read<S: Sink>(text: &str, sink: &mut S, remarks: &mut Remarks) -> Result<bool, Fault> {
    refuse_hidden_breaks(text)?;
    let mut driver = Driver { sink, remarks, frames: Vec::new(), keys: Vec::new(), source: Source::over(text) };
    driver.run()
}

/// go-yaml ends a line at U+0085, U+2028 and U+2029, YAML 1.2 does not: what one reads as a comment, the other reads as a field.
fn refuse_hidden_breaks(text: &str) -> Result<(), Fault> {
    if text.is_ascii() {
        return Ok(());
    }
    let Some((byte, found)) = text.char_indices().find(|(_, found)| matches!(found, '\u{85}' | '\u{2028}' | '\u{2029}')) else {
        return Ok(());
    };
    let before = text.get(..byte).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    let message = format!(
        "the character U+{:04X} ends a line for kubectl but not for other readers: write it as \"\\u{:04X}\" in double quotes",
        u32::from(found),
        u32::from(found)
    );
    Err(Fault::At(Place { line: before.matches('\n').count() + 1, column, byte }, message))
}

enum Frame<'t> {
    List,
    Map {
        /// Whether the next node is a key.
        at_key: bool,
        /// Where this map's keys begin in `Driver::keys`.
        first: usize,
        /// Index of the keys, made for large maps only.
        index: Option<HashMap<Cow<'t, str>, Place>>,
    },
}

/// From this number of keys on, a map's keys are looked up in an index.
const INDEX_FROM: usize = 24;

struct Driver<'t, 's, S> {
    sink: &'s mut S,
    remarks: &'s mut Remarks,
    frames: Vec<Frame<'t>>,
    keys: Vec<(Cow<'t, str>, Place)>,
    source: Source<'t>,
}

impl<'t, S: Sink> Driver<'t, '_, S> {
    fn run(&mut self) -> Result<bool, Fault> {
        let mut documents = 0_usize;
        let mut nodes = false;
        while !self.sink.is_done()
            && let Some((event, span)) = self.source.next()?
        {
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "kubectl ignores what follows `...` up to the next `---` line: write `---` above it";
                        return Err(Fault::At(Place::start(&span), message.into()));
                    }
                }
                Event::Scalar(text, style, _, tag) => {
                    nodes = true;
                    self.node(text, style, tag.as_deref(), &span)?;
                }
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    nodes = true;
                    self.begin(matches!(event, Event::MappingStart(..)), &span)?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(Frame::Map { first, .. }) = self.frames.pop() {
                        self.keys.truncate(first);
                    }
                    self.sink.end(extent(&span))?;
                    self.value_done();
                }
                _ => {}
            }
        }
        Ok(nodes)
    }

    fn value_done(&mut self) {
        if let Some(Frame::Map { at_key, .. }) = self.frames.last_mut() {
            *at_key = true;
        }
    }

    fn begin(&mut self, is_map: bool, span: &Span) -> Result<(), Fault> {
        if let Some(Frame::Map { at_key: true, .. }) = self.frames.last() {
            let message = "a key must be a string: lists and maps are no keys (quote `{{...}}` if this is a template)";
            return Err(Fault::At(Place::start(span), message.into()));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(Fault::At(Place::start(span), format!("nested deeper than {MAX_DEPTH} levels: no Kubernetes object is")));
        }
        if is_map {
            self.frames.push(Frame::Map { at_key: true, first: self.keys.len(), index: None });
            self.sink.begin_map(extent(span));
        } else {
            self.frames.push(Frame::List);
            self.sink.begin_list(extent(span));
        }
        Ok(())
    }

    fn node(&mut self, text: Cow<'t, str>, style: ScalarStyle, tag: Option<&granit_parser::Tag>, span: &Span) -> Result<(), Fault> {
        let place = Place::start(span);
        if let Some(Frame::Map { at_key, .. }) = self.frames.last_mut()
            && std::mem::take(at_key)
        {
            return self.key(text, style, tag, span);
        }
        let mut value = scalar::resolve(tag, style, &text).map_err(|message| Fault::At(place, message))?;
        match value {
            Scalar::Float(number) if !number.is_finite() => {
                return Err(Fault::At(
                    place,
                    format!("`{}` is no number that JSON can hold: write a finite number, or quote it", quoted(&text)),
                ));
            }
            Scalar::Float(number) => value = scalar::through_json(number),
            Scalar::Bool(read) if scalar::is_surprising_bool(&text) => self.remarks.push((
                place,
                format!("`{text}` is read as the boolean {read}, as kubectl reads it: write {read}, or quote it if it is a string"),
            )),
            _ => {}
        }
        self.sink.scalar(value, extent(span));
        self.value_done();
        Ok(())
    }

    fn key(&mut self, text: Cow<'t, str>, style: ScalarStyle, tag: Option<&granit_parser::Tag>, span: &Span) -> Result<(), Fault> {
        let place = Place::start(span);
        let at = |message| Fault::At(place, message);
        let merges =
            tag.map_or(style == ScalarStyle::Plain, |tag| tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() == Some("merge"));
        if text == "<<" && merges {
            if !S::MERGES {
                return Err(Fault::Merge);
            }
            self.sink.merge_key(extent(span));
            return Ok(());
        }
        let resolved = scalar::resolve(tag, style, &text).map_err(at)?;
        if let Scalar::Bool(read) = resolved
            && scalar::is_surprising_bool(&text)
        {
            self.remarks.push((place, format!("the key `{text}` is read as `{read}`, as kubectl reads it: quote it")));
        }
        // The text itself borrows from the document; only a rewritten key is owned.
        let key = if matches!(resolved, Scalar::Text(_)) { text } else { scalar::key(resolved).map_err(at)?.into_owned().into() };
        self.sink.key(&key, extent(span));
        self.remember(key, place)
    }

    fn remember(&mut self, key: Cow<'t, str>, place: Place) -> Result<(), Fault> {
        let Some(Frame::Map { first, index, .. }) = self.frames.last_mut() else { return Ok(()) };
        let known = self.keys.get(*first..).unwrap_or_default();
        let twin = if known.len() < INDEX_FROM {
            known.iter().find(|(name, _)| *name == key).map(|(_, place)| *place)
        } else {
            index.get_or_insert_with(|| known.iter().cloned().collect()).insert(key.clone(), place)
        };
        let Some(twin) = twin else {
            self.keys.push((key, place));
            return Ok(());
        };
        let message = format!(
            "the key `{}` is given twice, at line {} column {} and at line {} column {}: kubectl silently takes the last; remove one",
            quoted(&key),
            twin.line,
            twin.column,
            place.line,
            place.column
        );
        Err(Fault::At(place, message))
    }
}

/// The parser's events with aliases replaced by the events of what they name.
struct Source<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    /// Events inside anchored nodes, in order.
    log: Vec<(Event<'t>, Span)>,
    /// Anchors whose node is not finished: their id, where they began, the depth at which they end.
    open: Vec<(usize, usize, usize)>,
    anchors: HashMap<usize, Range<usize>>,
    depth: usize,
    replays: Vec<Range<usize>>,
    replayed: usize,
}

impl<'t> Source<'t> {
    fn over(text: &'t str) -> Self {
        let options = options! { emit_comments: false };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            log: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            depth: 0,
            replays: Vec::new(),
            replayed: 0,
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Fault> {
        // Nearly every document has neither anchors nor aliases: its events go straight through.
        loop {
            if !self.replays.is_empty()
                && let Some(found) = self.replay()?
            {
                let Event::Alias(id) = found.0 else { return Ok(Some(found)) };
                self.open_alias(id, &found.1)?;
                continue;
            }
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err(Fault::At(Place::of(*error.marker()), error.info())),
                Some(Ok(found)) => {
                    let anchor = anchor(&found.0);
                    if anchor != 0 || !self.open.is_empty() {
                        self.record(&found, anchor);
                    }
                    let Event::Alias(id) = found.0 else { return Ok(Some(found)) };
                    self.open_alias(id, &found.1)?;
                }
            }
        }
    }

    fn open_alias(&mut self, id: usize, span: &Span) -> Result<(), Fault> {
        let Some(range) = self.anchors.get(&id) else {
            return Err(Fault::At(Place::start(span), "the alias stands inside the node that it names: write the node out".into()));
        };
        self.replays.push(range.clone());
        if self.replays.len() > MAX_DEPTH { Err(bomb(span)) } else { Ok(()) }
    }

    fn replay(&mut self) -> Result<Option<(Event<'t>, Span)>, Fault> {
        while let Some(range) = self.replays.last_mut() {
            let Some((event, span)) = range.next().and_then(|index| self.log.get(index)) else {
                self.replays.pop();
                continue;
            };
            self.replayed += usize::from(event.is_node());
            if self.replayed > MAX_ALIAS_NODES {
                return Err(bomb(span));
            }
            return Ok(Some((event.clone(), *span)));
        }
        Ok(None)
    }

    fn record(&mut self, found: &(Event<'t>, Span), anchor: usize) {
        if anchor != 0 {
            self.open.push((anchor, self.log.len(), self.depth));
        }
        self.log.push(found.clone());
        match found.0 {
            Event::SequenceStart(..) | Event::MappingStart(..) => self.depth += 1,
            Event::SequenceEnd | Event::MappingEnd => self.depth -= 1,
            _ => {}
        }
        while let Some((id, start, depth)) = self.open.last().copied()
            && depth == self.depth
        {
            self.anchors.insert(id, start..self.log.len());
            self.open.pop();
        }
    }
}

/// The id of the anchor that stands at a node; 0 for none.
fn anchor(event: &Event<'_>) -> usize {
    match event {
        Event::Scalar(_, _, id, _) | Event::SequenceStart(_, id, _) | Event::MappingStart(_, id, _) => *id,
        _ => 0,
    }
}

fn bomb(span: &Span) -> Fault {
    let message = format!("alias bomb: the aliases of this document expand to more than {MAX_ALIAS_NODES} nodes; write them out");
    Fault::At(Place::start(span), message)
}
