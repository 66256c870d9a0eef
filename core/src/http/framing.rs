//! Where a body ends. Pure; for requests and answers alike, and strict: whatever two servers might read differently is no
//! frame (RFC 9112, sections 6 and 7).

/// More digits are no length of anything, and would not fit into a number of 64 bits, or of 63.
const DIGITS_MAX: usize = 18;
const HEX_DIGITS_MAX: u8 = 15;
/// Bytes behind the size of a chunk.
const EXTENSION_BYTES_MAX: u16 = 4096;

/// What the header lines say about the length of the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Framing {
    length: Option<u64>,
    chunked: bool,
    is_ambiguous: bool,
}

impl Framing {
    /// `Content-Length` with what stands behind its colon.
    pub(super) fn length(&mut self, value: &[u8]) {
        let digits = trimmed(value);
        let is_number = (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        let number = digits.iter().fold(0, |sum: u64, digit| sum.wrapping_mul(10) + u64::from(digit & 0x0f));
        self.is_ambiguous |= !is_number || self.length.is_some();
        self.length = Some(number);
    }

    /// `Transfer-Encoding`, likewise.
    pub(super) fn encoding(&mut self, value: &[u8]) {
        self.is_ambiguous |= self.chunked || !trimmed(value).eq_ignore_ascii_case(b"chunked");
        self.chunked = true;
    }

    /// One of them was written so that some servers would not see it, or would see another.
    pub(super) fn spoil(&mut self) {
        self.is_ambiguous = true;
    }

    /// Whether there is any such line.
    pub(super) fn is_given(&self) -> bool {
        self.length.is_some() || self.is_chunked()
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// The body, if there is one, as all servers see it. `None`: they may see different ones.
    pub(super) fn body(&self) -> Option<Option<Body>> {
        match (self.is_ambiguous, self.length, self.chunked) {
            (true, ..) | (_, Some(_), true) => None,
            (_, Some(length), _) => Some(Some(Body::Length(length))),
            (_, None, true) => Some(Some(Body::Chunked(Chunk::default()))),
            (_, None, false) => Some(None),
        }
    }
}

/// Without the blanks around it. Other bytes are blanks for some servers only.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let begin = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(begin, |last| last + 1);
    &value[begin..end]
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunk the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size: blanks, or a semicolon and anything.
    Extension {
        size: u64,
        bytes: u16,
    },
    /// The line feed after the size.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// The carriage return after the data, and the line feed.
    DataEnd {
        has_cr: bool,
    },
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk::Size { size: 0, digits: 0 }
    }
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All bytes belong to it, and more are to come.
    NotYet,
    /// It ended before the byte of this index.
    At(usize),
    /// Its last chunk did, and trailers follow: header lines and an empty one.
    Trailers(usize),
    /// It is none: a server may take the next byte for something else.
    Broken,
}

impl Body {
    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8]) -> End {
        let chunk = match self {
            Body::Chunked(chunk) => chunk,
            Body::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                return if *left == 0 { End::At(taken as usize) } else { End::NotYet };
            }
        };
        let mut index = 0;
        while index < bytes.len() {
            if let Chunk::Data { left } = chunk {
                let taken = (*left).min((bytes.len() - index) as u64);
                *left -= taken;
                index += taken as usize;
                if *left == 0 {
                    *chunk = Chunk::DataEnd { has_cr: false };
                }
                continue;
            }
            let Some(next) = chunk.after(bytes[index]) else { return End::Broken };
            index += 1;
            match next {
                Chunk::Data { left: 0 } => return End::Trailers(index),
                next => *chunk = next,
            }
        }
        End::NotYet
    }
}

impl Chunk {
    /// `None`: the byte must not stand here.
    fn after(self, byte: u8) -> Option<Chunk> {
        Some(match (self, byte) {
            (Chunk::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < HEX_DIGITS_MAX => {
                let digit = (byte as char).to_digit(16)?;
                Chunk::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { digits: 0, .. }, _) => return None,
            (Chunk::Size { size, .. } | Chunk::Extension { size, .. }, b'\r') => Chunk::SizeEnd { size },
            (Chunk::Size { size, .. }, b';' | b' ' | b'\t') => {
                Chunk::Extension { size, bytes: u16::from(byte == b';') }
            }
            (Chunk::Extension { size, bytes: 0 }, b';') => Chunk::Extension { size, bytes: 1 },
            (Chunk::Extension { size, bytes: 0 }, b' ' | b'\t') => Chunk::Extension { size, bytes: 0 },
            (Chunk::Extension { size, bytes: 1..EXTENSION_BYTES_MAX }, b'\t' | b' '..=b'~' | 0x80..) => {
                let Chunk::Extension { bytes, .. } = self else { return None };
                Chunk::Extension { size, bytes: bytes + 1 }
            }
            (Chunk::SizeEnd { size }, b'\n') => Chunk::Data { left: size },
            (Chunk::DataEnd { has_cr: false }, b'\r') => Chunk::DataEnd { has_cr: true },
            (Chunk::DataEnd { has_cr: true }, b'\n') => Chunk::default(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lines: &[(&str, &str)]) -> Option<Option<Body>> {
        let mut framing = Framing::default();
        for (name, value) in lines {
            match *name {
                "length" => framing.length(value.as_bytes()),
                _ => framing.encoding(value.as_bytes()),
            }
        }
        framing.body()
    }

    #[test]
    fn lengths() {
        let chunked = Some(Some(Body::Chunked(Chunk::default())));
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<Option<Body>>);
        let cases: [Case<'_>; 14] = [
            (&[], Some(None)),
            (&[("length", " 17 ")], Some(Some(Body::Length(17)))),
            (&[("length", "0")], Some(Some(Body::Length(0)))),
            (&[("length", "007")], Some(Some(Body::Length(7)))),
            (&[("encoding", " Chunked")], chunked),
            (&[("length", "5"), ("length", "5")], None),
            (&[("length", "5"), ("encoding", "chunked")], None),
            (&[("length", "5, 5")], None),
            (&[("length", "+5")], None),
            (&[("length", "0x5")], None),
            (&[("length", "")], None),
            (&[("length", "1234567890123456789")], None),
            (&[("encoding", "gzip, chunked")], None),
            (&[("encoding", "chunked"), ("encoding", "chunked")], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(framing(lines), expected, "{lines:?}");
        }
    }

    /// Reads it whole and byte by byte.
    fn chunks(text: &str) -> End {
        let read = |mut body: Body, size| {
            let mut before = 0;
            for piece in text.as_bytes().chunks(size) {
                match body.read(piece) {
                    End::NotYet => before += piece.len(),
                    End::At(at) => return End::At(before + at),
                    End::Trailers(at) => return End::Trailers(before + at),
                    End::Broken => return End::Broken,
                }
            }
            End::NotYet
        };
        let fresh = Body::Chunked(Chunk::default());
        let whole = read(fresh, text.len());
        assert_eq!(read(fresh, 1), whole, "{text:?}");
        whole
    }

    #[test]
    fn chunks_end_where_every_server_sees_their_end() {
        for text in
            ["0\r\n", "5\r\nabcde\r\n0\r\n", "00A;x=\"y\"\r\n0123456789\r\n0  \r\n", "1 ;a\r\n\n\r\n0\r\n"]
        {
            let rest = "\r\nGET / HTTP/1.1\r\n";
            assert_eq!(chunks(&format!("{text}{rest}")), End::Trailers(text.len()), "{text:?}");
        }
        for text in ["", "5", "5\r\nabc", "5;", "5\r\nabcde\r"] {
            if !text.is_empty() {
                assert_eq!(chunks(text), End::NotYet, "{text:?}");
            }
        }
        for text in [
            "\r\n",
            "x\r\n",
            "5\nabcde\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5\r\nabcdef\r\n",
            "5\r\nabcde\n",
            "5;a\nb\r\n",
            "5 5\r\n",
            "1234567890123456\r\n",
            ";a\r\n",
            "5;a\0\r\n",
            "5\r\r\n",
        ] {
            assert_eq!(chunks(text), End::Broken, "{text:?}");
        }
        let long = format!("5;{}\r\n", "x".repeat(5000));
        assert_eq!(chunks(&long), End::Broken);
    }

    #[test]
    fn a_length_is_counted_down() {
        let mut body = Body::Length(5);
        assert_eq!((body.read(b"abc"), body.read(b"defg")), (End::NotYet, End::At(2)));
    }
}
