//! Walking through DER: the elements of a value, each with its tag. Pure; headers and times are read by the crate `der`.

use ::der::asn1::{GeneralizedTime, UtcTime};
use ::der::{Decode, Reader, SliceReader};

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_IDENTIFIER: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0a;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// A context-specific tag that holds other elements.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub value: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements in it; `None` where it holds something else.
    pub fn inner(&self) -> Option<Elements<'a>> {
        elements(self.value)
    }

    /// Seconds since 1970 of a UTCTime or GeneralizedTime. 0 for what is before or is none: a certificate whose end
    /// cannot be read has ended.
    pub fn epoch_seconds(&self) -> u64 {
        let utc = UtcTime::from_der(self.whole).map(|time| time.to_unix_duration());
        let time = utc.or_else(|_| GeneralizedTime::from_der(self.whole).map(|time| time.to_unix_duration()));
        time.map_or(0, |since| since.as_secs())
    }

    /// The bits of a BIT STRING that ends with a whole byte.
    pub fn bits(&self) -> Option<&'a [u8]> {
        (self.tag == BIT_STRING).then_some(self.value)?.strip_prefix(&[0])
    }
}

/// Elements one after the other, taken in their order.
#[derive(Debug)]
pub struct Elements<'a>(std::iter::Peekable<std::vec::IntoIter<Element<'a>>>);

impl<'a> Elements<'a> {
    /// The next one, which must have this tag.
    pub fn next_of(&mut self, tag: u8) -> Option<Element<'a>> {
        self.0.next_if(|element| element.tag == tag)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.0.next()
    }
}

/// What `bytes` is made of, to the last byte; `None` if it is no DER.
pub fn elements(bytes: &[u8]) -> Option<Elements<'_>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(first_of(&mut reader)?);
    }
    Some(Elements(found.into_iter().peekable()))
}

/// The first element of `bytes`, whatever follows.
pub fn first(bytes: &[u8]) -> Option<Element<'_>> {
    first_of(&mut SliceReader::new(bytes).ok()?)
}

/// `bytes` as one element of this tag, to the last byte.
pub fn only(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    first(bytes).filter(|element| element.tag == tag && element.whole.len() == bytes.len())
}

fn first_of<'a>(reader: &mut SliceReader<'a>) -> Option<Element<'a>> {
    let length = ::der::Header::peek(reader).ok()?.length();
    let whole = reader.tlv_bytes().ok()?;
    let value = &whole[whole.len() - usize::try_from(length).ok()?..];
    Some(Element { tag: whole[0], value, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_to_the_last_byte_or_not_at_all() {
        let bytes = [0x30, 5, 2, 1, 7, 5, 0];
        let mut inner = only(&bytes, SEQUENCE).unwrap().inner().unwrap();
        assert_eq!(inner.next_of(BOOLEAN), None);
        assert_eq!(inner.next_of(INTEGER).unwrap().value, [7]);
        assert_eq!((inner.next().unwrap().tag, inner.next()), (5, None));
        assert_eq!(first(&[2, 1, 7, 99]).unwrap().whole, [2, 1, 7]);
        for bad in [&[0x30, 5, 2, 1][..], &[2, 1, 7, 99], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[]]
        {
            assert_eq!(only(bad, SEQUENCE), None, "{bad:?}");
        }
    }

    #[test]
    fn times_are_seconds_since_1970() {
        let at = |tag, text: &str| {
            let whole = [&[tag, text.len() as u8], text.as_bytes()].concat();
            first(&whole).unwrap().epoch_seconds()
        };
        assert_eq!(at(0x17, "700101000010Z"), 10);
        assert_eq!(at(0x17, "491231235959Z"), 2_524_607_999);
        assert_eq!(at(0x18, "99991231235959Z"), 253_402_300_799);
        assert_eq!((at(0x17, "991332000000Z"), at(0x18, "soon")), (0, 0));
    }
}
