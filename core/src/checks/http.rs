//! `check http`: one request, and how its answer is read. Pure.
//!
//! The status line decides; with a text to be found, so does the body. The request asks the server to close afterwards, and
//! takes a body with a length, in chunks, or to the end.

use super::search::{Search, Seen};

/// Bytes of the head of an answer.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What is wanted of an answer.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// From and to.
    pub status: (u16, u16),
    /// In the body.
    pub text: Option<Vec<u8>>,
}

/// The request for a path at a host.
pub fn request(path: &str, host: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: pen\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// How far an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Good,
    /// More must come.
    Waits,
    Bad(String),
}

/// An answer that comes piece by piece.
#[derive(Debug)]
pub struct Response {
    wanted: Wanted,
    /// Lines of the head so far.
    head: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    search: Search,
    length: Length,
}

#[derive(Debug)]
enum Length {
    ToTheEnd,
    Left(u64),
    /// The line with the size of a chunk, so far.
    Size(Vec<u8>),
    /// Bytes left of a chunk, its line end included.
    Chunk(u64),
    Over,
}

impl Response {
    pub fn new(wanted: Wanted) -> Response {
        Response { wanted, head: Vec::new(), body: None }
    }

    /// Takes what came.
    pub fn take(&mut self, bytes: &[u8]) -> Progress {
        match &mut self.body {
            Some(body) => body.take(bytes),
            None => {
                self.head.extend_from_slice(bytes);
                self.read_head()
            }
        }
    }

    /// The server has closed the connection.
    pub fn end(&self) -> Progress {
        Progress::Bad(match (&self.body, self.head.is_empty()) {
            (Some(_), _) => "the text is not in the body".into(),
            (None, true) => "it closed the connection without an answer".into(),
            (None, false) => "it closed the connection in the middle of its answer".into(),
        })
    }

    fn read_head(&mut self) -> Progress {
        loop {
            let Some(line_end) = self.head.iter().position(|byte| *byte == b'\n') else {
                return self.wait_for_head();
            };
            let Some(status) = status(trimmed(&self.head[..line_end])) else {
                return Progress::Bad(format!("answers no HTTP but {}", start_of(&self.head)));
            };
            let is_interim = (100..200).contains(&status) && status != 101;
            let (from, to) = self.wanted.status;
            if !is_interim && !(from..=to).contains(&status) {
                return Progress::Bad(format!("status {status}"));
            }
            if !is_interim && self.wanted.text.is_none() {
                return Progress::Good;
            }
            let Some((lines, length)) = split_head(&self.head) else { return self.wait_for_head() };
            if is_interim {
                self.head.drain(..length);
                continue;
            }
            let body_length = body_length(lines);
            let search = Search::new(self.wanted.text.as_deref().unwrap_or_default());
            let first = self.head.split_off(length);
            return self.body.insert(Body { search, length: body_length }).take(&first);
        }
    }

    fn wait_for_head(&self) -> Progress {
        match self.head.len() > HEAD_BYTES_MAX {
            true => Progress::Bad(format!("the head of its answer is longer than {HEAD_BYTES_MAX} bytes")),
            // What cannot become a status line is not waited for.
            false if !b"HTTP/1.".iter().zip(&self.head).all(|(want, got)| want == got) => {
                Progress::Bad(format!("answers no HTTP but {}", start_of(&self.head)))
            }
            false => Progress::Waits,
        }
    }
}

/// `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line.get(..12)?).ok()?;
    let number =
        line.strip_prefix("HTTP/1.")?.strip_prefix(|c: char| c.is_ascii_digit())?.strip_prefix(' ')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

fn start_of(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(40)];
    pen_proto::addr::quoted(&String::from_utf8_lossy(trimmed(
        start.split(|byte| *byte == b'\n').next().unwrap_or(start),
    )))
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The lines of a head that is complete, and how long it is with its empty line.
fn split_head(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (mut lines, mut at) = (Vec::new(), 0);
    loop {
        let length = bytes[at..].iter().position(|byte| *byte == b'\n')?;
        let line = trimmed(&bytes[at..at + length]);
        at += length + 1;
        if line.is_empty() {
            return Some((lines, at));
        }
        lines.push(line);
    }
}

fn body_length(lines: Vec<&[u8]>) -> Length {
    let mut length = Length::ToTheEnd;
    for line in lines.iter().skip(1) {
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else {
            continue;
        };
        if name.eq_ignore_ascii_case("transfer-encoding") && value.to_ascii_lowercase().contains("chunked") {
            return Length::Size(Vec::new());
        }
        if let (true, Ok(bytes)) = (name.eq_ignore_ascii_case("content-length"), value.trim().parse()) {
            length = Length::Left(bytes);
        }
    }
    length
}

impl Body {
    fn take(&mut self, mut bytes: &[u8]) -> Progress {
        loop {
            let piece = match &mut self.length {
                Length::Over => return Progress::Bad("the text is not in the body".into()),
                Length::Left(0) => {
                    self.length = Length::Over;
                    continue;
                }
                _ if bytes.is_empty() => return Progress::Waits,
                Length::ToTheEnd => std::mem::take(&mut bytes),
                Length::Left(left) => taken(&mut bytes, left),
                Length::Chunk(0) => {
                    self.length = Length::Size(Vec::new());
                    continue;
                }
                Length::Chunk(left) => {
                    // The line end behind the chunk is no part of it.
                    let data = left.saturating_sub(2);
                    let mut inside = data;
                    let piece = taken(&mut bytes, &mut inside);
                    *left -= data - inside;
                    if *left <= 2 {
                        taken(&mut bytes, left);
                    }
                    piece
                }
                Length::Size(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                    if line.len() > 1024 {
                        return Progress::Bad("its chunks are malformed".into());
                    }
                    let Some(end) = end else { return Progress::Waits };
                    bytes = &bytes[end + 1..];
                    let size = String::from_utf8_lossy(line);
                    let size = size.split(';').next().unwrap_or_default().trim();
                    match u64::from_str_radix(size, 16).ok().filter(|size| *size < 1 << 40) {
                        None => return Progress::Bad("its chunks are malformed".into()),
                        Some(0) => self.length = Length::Over,
                        Some(size) => self.length = Length::Chunk(size + 2),
                    }
                    continue;
                }
            };
            match self.search.take(piece) {
                Seen::Found => return Progress::Good,
                Seen::TooFar => {
                    return Progress::Bad(format!(
                        "the text is not in the first {} bytes",
                        super::SEARCH_BYTES_MAX
                    ));
                }
                Seen::NotYet => {}
            }
        }
    }
}

/// As many bytes as are left and there.
fn taken<'a>(bytes: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at(count);
    *bytes = rest;
    *left -= count as u64;
    piece
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OK: (u16, u16) = (200, 399);

    fn of(text: Option<&str>) -> Response {
        Response::new(Wanted { status: OK, text: text.map(|text| text.as_bytes().to_vec()) })
    }

    /// What comes of an answer in pieces of this size, and then its end.
    fn read(text: Option<&str>, answer: &[u8], size: usize) -> Progress {
        let mut response = of(text);
        for piece in answer.chunks(size.max(1)) {
            match response.take(piece) {
                Progress::Waits => {}
                progress => return progress,
            }
        }
        response.end()
    }

    fn bad(reason: &str) -> Progress {
        Progress::Bad(reason.into())
    }

    #[test]
    fn the_request_names_path_and_host() {
        let request = String::from_utf8(request("/health?a=b", "www.example.org")).unwrap();
        assert!(request.starts_with("GET /health?a=b HTTP/1.1\r\nHost: www.example.org\r\n"), "{request}");
        assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
    }

    #[test]
    fn the_status_decides() {
        for (answer, progress) in [
            ("HTTP/1.1 200 OK\r\n", Progress::Good),
            ("HTTP/1.0 301\n", Progress::Good),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n", Progress::Good),
            ("HTTP/1.1 503 Service Unavailable\r\n", bad("status 503")),
            ("HTTP/1.1 101 Switching\r\n", bad("status 101")),
            ("SSH-2.0-OpenSSH_9.2\r\n", bad("answers no HTTP but \"SSH-2.0-OpenSSH_9.2\"")),
            ("HTTP/1.1 abc\r\n", bad("answers no HTTP but \"HTTP/1.1 abc\"")),
            ("HTTP/2 200\r\n", bad("answers no HTTP but \"HTTP/2 200\"")),
            ("HTTP/1.1 2", bad("it closed the connection in the middle of its answer")),
            ("", bad("it closed the connection without an answer")),
        ] {
            assert_eq!(read(None, answer.as_bytes(), 1000), progress, "{answer:?}");
        }
        assert_eq!(of(None).take(b"S"), bad("answers no HTTP but \"S\""), "not waited for");
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; HEAD_BYTES_MAX]].concat();
        assert_eq!(read(Some("y"), &long, 1000), bad("the head of its answer is longer than 16384 bytes"));
    }

    #[test]
    fn a_text_is_looked_for_in_the_body() {
        let absent = || bad("the text is not in the body");
        for (answer, progress) in [
            ("HTTP/1.1 200 OK\r\n\r\nall is well", Progress::Good),
            ("HTTP/1.1 200 OK\r\nX: all is well\r\n\r\nno", absent()),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nall is well", absent()),
            ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nall is well", Progress::Good),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", absent()),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall i\r\n6;x=y\r\ns well\r\n0\r\n\r\n",
                Progress::Good,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\nall is well",
                absent(),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", bad("its chunks are malformed")),
            ("HTTP/1.1 500 Oops\r\n\r\nall is well", bad("status 500")),
        ] {
            for size in [1, 3, 1000] {
                assert_eq!(read(Some("is well"), answer.as_bytes(), size), progress, "{answer:?} by {size}");
            }
        }
        let long = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 70_000]].concat();
        assert_eq!(read(Some("y"), &long, 999), bad("the text is not in the first 65536 bytes"));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(
            answer in prop::collection::vec(any::<u8>(), 0..300), is_http in any::<bool>(), size in 1..50usize,
        ) {
            let head: &[u8] = if is_http { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let whole = [head, &answer].concat();
            let is_good = |size| read(Some("\n"), &whole, size) == Progress::Good;
            prop_assert_eq!(is_good(size), is_good(1_000));
        }
    }
}
