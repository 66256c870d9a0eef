//! Where the records of a TLS stream end (RFC 8446, section 5.1). Pure.

/// Type, version and length.
const HEADER_BYTES: usize = 5;

/// Follows a stream from its first byte on, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Boundaries {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    header_bytes: usize,
    /// Bytes of the record's body that have not come yet.
    missing_bytes: usize,
}

impl Boundaries {
    /// Takes note of what came next.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let count = bytes.len().min(self.missing_bytes);
            self.missing_bytes -= count;
            bytes = &bytes[count..];
            let Some((first, rest)) = bytes.split_first() else { return };
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = rest;
            if self.header_bytes == HEADER_BYTES {
                self.missing_bytes = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                self.header_bytes = 0;
            }
        }
    }

    /// Whether a stream that ends here ends within a record: a part of it is lost, and its end is no end in order.
    pub fn is_inside(&self) -> bool {
        self.header_bytes > 0 || self.missing_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_whole_records_end_in_order(sizes in prop::collection::vec(0u16..700, 1..5), piece in 1usize..900, cut in any::<usize>()) {
            let mut stream = Vec::new();
            let mut ends = vec![0];
            for size in sizes {
                stream.extend([23, 3, 3]);
                stream.extend(size.to_be_bytes());
                stream.extend(vec![0x55; size.into()]);
                ends.push(stream.len());
            }
            let cut = cut % (stream.len() + 1);
            let mut boundaries = Boundaries::default();
            stream[..cut].chunks(piece).for_each(|piece| boundaries.pass(piece));
            prop_assert_eq!(boundaries.is_inside(), !ends.contains(&cut));
        }
    }
}
