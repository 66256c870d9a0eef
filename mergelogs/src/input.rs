//! Log files as lines: plain, compressed with gzip, or standard input.
//!
//! Owns opening, reading line by line, and the names of files in errors. Knows nothing of what a line means. Used by
//! the pen log and the web logs alike.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

/// The longest line that is looked at, line end included. Web servers limit a request line to 8 KiB or so; a line
/// beyond this is no log line, and a compressed file can hold one that fills the memory.
pub const LINE_BYTES_MAX: usize = 1 << 20;

const BUFFER_BYTES: usize = 64 << 10;

/// What a gzip file begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One log being read. Its current line is [`LogFile::line`].
pub struct LogFile {
    /// As the user gave it; errors begin with it.
    pub name: String,
    /// Of the current line, from 1.
    pub line_number: u64,
    /// The length of a regular file, 0 for anything else.
    pub file_bytes: u64,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    bytes_read: Rc<Cell<u64>>,
}

/// What [`LogFile::advance`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Advance {
    Line,
    /// A line longer than [`LINE_BYTES_MAX`]; only its beginning is kept.
    TooLong,
    End,
}

impl LogFile {
    /// Opens `name`; `-` is standard input.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn open(name: &str) -> Result<LogFile, String> {
        let named = |error: io::Error| format!("{name}: {error}");
        if name == "-" {
            return LogFile::read_from(name, io::stdin(), 0).map_err(named);
        }
        let file = File::open(name).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        if metadata.is_dir() {
            return Err(format!("{name}: is a directory"));
        }
        LogFile::read_from(name, file, metadata.len()).map_err(named)
    }

    fn read_from(name: &str, input: impl Read + 'static, file_bytes: u64) -> io::Result<LogFile> {
        let bytes_read = Rc::new(Cell::new(0));
        let mut input = Counted { input, bytes_read: Rc::clone(&bytes_read) };
        let mut start = Vec::with_capacity(GZIP_MAGIC.len());
        input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
        let is_gzip = start == GZIP_MAGIC;
        let whole = Cursor::new(start).chain(input);
        let reader: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
        } else {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, whole))
        };
        Ok(LogFile {
            name: name.to_owned(),
            line_number: 0,
            file_bytes,
            reader,
            line: Vec::new(),
            bytes_read,
        })
    }

    /// Reads the next line.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn advance(&mut self) -> Result<Advance, String> {
        self.read_line().map_err(|error| format!("{}: {error}", self.name))
    }

    fn read_line(&mut self) -> io::Result<Advance> {
        self.line.clear();
        let length = (&mut self.reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)?;
        if length == 0 {
            return Ok(Advance::End);
        }
        self.line_number += 1;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            self.line.pop_if(|last| *last == b'\r');
        } else if length == LINE_BYTES_MAX {
            self.reader.skip_until(b'\n')?;
            return Ok(Advance::TooLong);
        }
        Ok(Advance::Line)
    }

    /// The current line without its line end.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Gives the current line away. `spare` is a buffer for the next one, whatever is in it.
    pub fn take_line(&mut self, spare: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.line, spare)
    }

    /// `FILE:NUMBER` of the current line, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.name, self.line_number)
    }

    /// Bytes taken from the file so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }
}

struct Counted<R> {
    input: R,
    bytes_read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.bytes_read.set(self.bytes_read.get() + length as u64);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn lines_of(bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut file = LogFile::read_from("test", Cursor::new(bytes), 0).unwrap();
        let mut lines = Vec::new();
        loop {
            match file.advance().unwrap() {
                Advance::Line => lines.push(file.line().to_vec()),
                Advance::TooLong => lines.push(format!("too long: {}", file.place()).into_bytes()),
                Advance::End => return lines,
            }
        }
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn line_ends_of_all_kinds_are_taken_off() {
        assert_eq!(lines_of(b"a\nb\r\n\nc".to_vec()), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(lines_of(b"".to_vec()), [b""; 0]);
        assert_eq!(lines_of(b"x".to_vec()), [b"x"]);
    }

    #[test]
    fn gzip_is_known_by_its_content_even_in_pieces() {
        let mut bytes = compressed(b"a\nb");
        bytes.extend(compressed(b"b\nc\n"));
        assert_eq!(lines_of(bytes), [&b"a"[..], b"bb", b"c"]);
    }

    #[test]
    fn an_endless_line_is_skipped_and_named() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nnext\n");
        let expected = [&b"too long: test:1"[..], b"next"];
        assert_eq!(lines_of(text.clone()), expected);
        assert_eq!(lines_of(compressed(&text)), expected);
    }

    #[test]
    fn a_damaged_gzip_file_is_an_error_that_names_it() {
        let mut bytes = compressed(b"some text\n");
        bytes.truncate(bytes.len() - 6);
        let mut file = LogFile::read_from("log.gz", Cursor::new(bytes), 0).unwrap();
        let error = std::iter::from_fn(|| Some(file.advance())).find_map(Result::err).unwrap();
        assert!(error.starts_with("log.gz: "), "{error}");
    }
}
