//! DER as far as a signing request needs it: definite lengths, tags of one byte, nothing copied.

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(super) const SET: u8 = 0x31;
/// `BOOLEAN`.
pub(super) const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub(super) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// `BMPString`.
pub(super) const BMP_STRING: u8 = 0x1e;

/// The values that stand one behind the other in some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'d>(pub(super) &'d [u8]);

impl<'d> Values<'d> {
    /// The next value with its tag; `None` at the end, and where the bytes are no DER.
    pub(super) fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let bytes = length & 0x7f;
            if !(1..=4).contains(&bytes) {
                return None;
            }
            let (written, behind) = rest.split_at_checked(bytes)?;
            length = written.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest = behind;
        }
        let (content, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        Some((*tag, content))
    }

    /// The content of the next value, which must have this tag.
    pub(super) fn expect(&mut self, wanted: u8) -> Option<&'d [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_behind_the_other() {
        let mut values = Values(&[0x02, 0x01, 0x05, 0x04, 0x81, 0x02, 0xaa, 0xbb]);
        assert_eq!(values.expect(INTEGER), Some(&[5][..]));
        assert_eq!(values.next(), Some((OCTET_STRING, &[0xaa, 0xbb][..])));
        assert!(values.is_at_end());
        assert_eq!(values.next(), None);
    }

    #[test]
    fn what_is_no_der_is_not_read() {
        for bytes in [&[0x30][..], &[0x30, 0x80, 0, 0], &[0x30, 0x05, 0x01], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x1f, 0x01, 0x00]] {
            assert_eq!(Values(bytes).next(), None, "{bytes:x?}");
        }
    }
}
