//! Where one document ends and the next begins: at lines that start with `---`, as kubectl's reader splits a stream before any YAML is
//! parsed. So one broken document does not hide the rest.

use std::ops::Range;

/// One document's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Bytes of the text, without the separator line.
    pub(super) range: Range<usize>,
    /// 1-based line of the first byte.
    pub(super) first_line: usize,
    /// Why the separator above this document is refused, with its line.
    pub(super) bad_separator: Option<(usize, String)>,
}

/// Splits a text, from a byte offset and its line on. Chunks of white space only are kept: whether a document is empty is the parser's call.
pub(super) fn split(text: &str, from: usize, line: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut open = Chunk { range: from..text.len(), first_line: line, bad_separator: None };
    let mut lines = Lines { text, at: from, line };
    while let Some((start, separator, number)) = lines.next_separator() {
        let next = Chunk { range: lines.at..text.len(), first_line: lines.line, bad_separator: judge(separator, number) };
        open.range.end = start;
        chunks.push(std::mem::replace(&mut open, next));
    }
    chunks.push(open);
    chunks
}

/// kubectl allows white space and a comment after `---`, nothing else.
fn judge(separator: &str, line: usize) -> Option<(usize, String)> {
    let after = separator.get(3..).unwrap_or_default().trim();
    (!after.is_empty() && !after.starts_with('#')).then(|| {
        let message = "only a comment may follow `---` on its line: kubectl refuses anything else; move the text to the next line";
        (line, message.to_owned())
    })
}

struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    /// The next line that starts with `---`: where it starts, its text, its number. Afterwards `at` is the beginning of the line below.
    fn next_separator(&mut self) -> Option<(usize, &'t str, usize)> {
        while self.at < self.text.len() {
            let rest = self.text.get(self.at..)?;
            let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let (start, number) = (self.at, self.line);
            self.at += end;
            self.line += 1;
            if rest.starts_with("---") {
                return Some((start, rest.get(..end)?, number));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, usize)> {
        split(text, 0, 1).into_iter().map(|chunk| (&text[chunk.range], chunk.first_line)).collect()
    }

    #[test]
    fn splits_where_kubectl_splits() {
        assert_eq!(texts("a: 1\n---\nb: 2\n"), [("a: 1\n", 1), ("b: 2\n", 3)]);
        assert_eq!(texts("---\r\na: 1\r\n--- # next\r\nb: 2"), [("", 1), ("a: 1\r\n", 2), ("b: 2", 4)]);
        assert_eq!(texts("a: |\n  ---\n  x\n"), [("a: |\n  ---\n  x\n", 1)]);
        assert_eq!(texts("a: 1\n---"), [("a: 1\n", 1), ("", 3)]);
    }

    #[test]
    fn refuses_text_beside_a_separator() {
        let chunks = split("a: 1\n--- b: 2\nc: 3\n", 0, 1);
        assert_eq!(chunks[1].bad_separator.as_ref().map(|(line, _)| *line), Some(2));
        assert!(split("a: 1\n----\n", 0, 1)[1].bad_separator.is_some());
    }
}
