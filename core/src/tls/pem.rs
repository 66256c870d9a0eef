//! The blocks of a PEM file, each with its line. Pure.
//!
//! Nothing that looks like the beginning or the end of a block is passed over: a file that lacks a line end, a dash or its
//! second half would otherwise be taken for one with fewer certificates. What a block holds is the caller's to decode.

/// What stands between one BEGIN and its END.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The words after BEGIN, such as CERTIFICATE.
    pub label: &'a str,
    /// Line of the BEGIN, from 1.
    pub line: usize,
    /// The lines between, without those of BEGIN and END.
    pub body: &'a [u8],
}

/// What is wrong, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub reason: String,
}

/// Programs that write UTF-8 for Windows put it in front; files that are put together have it in the middle.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
}

/// All blocks of a file in their order; none for a text without any.
///
/// # Errors
/// A block that is not whole, or a line that is almost a boundary.
pub fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, Fault> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None; // label, line, and where its body begins
    for Line { number, bytes, start, end } in lines(text) {
        let fault = |reason: String| Fault { line: number, reason };
        match (boundary(bytes).map_err(fault)?, open) {
            (Some(Boundary::Begin(label)), None) => open = Some((label, number, end)),
            (Some(Boundary::End(label)), Some((begun, line, from))) if label == begun => {
                found.push(Block { label, line, body: &text[from..start] });
                open = None;
            }
            (Some(Boundary::End(label)), None) => {
                return Err(fault(format!("-----END {label}----- without its BEGIN")));
            }
            (Some(Boundary::End(label)), Some((begun, ..))) => {
                return Err(fault(format!("want -----END {begun}-----, got -----END {label}-----")));
            }
            (Some(Boundary::Begin(_)), Some((label, line, _))) => return Err(endless(label, line)),
            (None, _) => {}
        }
    }
    match open {
        Some((label, line, _)) => Err(endless(label, line)),
        None => Ok(found),
    }
}

fn endless(label: &str, line: usize) -> Fault {
    Fault { line, reason: format!("-----BEGIN {label}----- without its END: is something cut off?") }
}

struct Line<'a> {
    number: usize,
    bytes: &'a [u8],
    start: usize,
    /// Behind the line end.
    end: usize,
}

/// Lines that end in a line feed, a carriage return or both.
fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    (1..).map_while(move |number| {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let line_end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        let line =
            Line { number, bytes: &rest[..length], start, end: (start + length + line_end).min(text.len()) };
        start = line.end;
        Some(line)
    })
}

fn boundary(line: &[u8]) -> Result<Option<Boundary<'_>>, String> {
    let bare = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii_end();
    let Ok(text) = str::from_utf8(bare) else { return Ok(None) };
    let label = |word: &str| text.strip_prefix(word)?.strip_suffix("-----");
    match (label("-----BEGIN "), label("-----END ")) {
        (Some(label), _) if !label.contains('-') => Ok(Some(Boundary::Begin(label))),
        (_, Some(label)) if !label.contains('-') => Ok(Some(Boundary::End(label))),
        (_, Some(label)) if label.contains("BEGIN ") => {
            Err("one block ends and the next begins on this line; want a line end between them".into())
        }
        _ if is_almost_boundary(text.trim_start()) => {
            Err(format!("want a line such as -----BEGIN CERTIFICATE-----, got {text:?}"))
        }
        _ => Ok(None),
    }
}

/// Whether somebody who reads the file would take the line for a boundary.
fn is_almost_boundary(text: &str) -> bool {
    let has = |word: &str| text.contains(&format!("BEGIN {word}")) || text.contains(&format!("END {word}"));
    !text.starts_with('#') && (has("CERTIFICATE") || text.starts_with("--") && has(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<(&str, usize, &str)> {
        let blocks = blocks(text.as_bytes()).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
        blocks.iter().map(|block| (block.label, block.line, str::from_utf8(block.body).unwrap())).collect()
    }

    fn fault(text: &str) -> (usize, String) {
        let fault = blocks(text.as_bytes()).expect_err(text);
        (fault.line, fault.reason)
    }

    #[test]
    fn blocks_are_found_whatever_stands_around_them() {
        assert_eq!(found("no block, - not even -- one\n# -----BEGIN CERTIFICATE-----\n"), []);
        let two = [("A B", 1, "YQ==\n"), ("C", 4, "Yg==\n")];
        assert_eq!(
            found("-----BEGIN A B-----\nYQ==\n-----END A B-----\n-----BEGIN C-----\nYg==\n-----END C-----"),
            two
        );
        let marked = "\u{feff}-----BEGIN A-----  \r\nYQ==\r\n-----END A-----\r\ntext\r\n\u{feff}-----BEGIN C-----\r\n-----END C-----\t\r\n";
        assert_eq!(found(marked), [("A", 1, "YQ==\r\n"), ("C", 5, "")]);
        assert_eq!(found("-----BEGIN A-----\rYQ==\r\r-----END A-----\r"), [("A", 1, "YQ==\r\r")]);
    }

    #[test]
    fn what_is_not_whole_is_told_with_its_line() {
        for (text, line, reason) in [
            ("x\n-----BEGIN A-----\nYQ==\n", 2, "without its END"),
            ("-----BEGIN A-----\nYQ==\n-----BEGIN A-----\nYQ==\n-----END A-----\n", 1, "without its END"),
            ("YQ==\n-----END A-----\n", 2, "without its BEGIN"),
            ("-----BEGIN A-----\n-----END B-----\n", 2, "want -----END A-----"),
            ("-----BEGIN A-----\n-----END A----------BEGIN A-----\n-----END A-----\n", 2, "want a line end"),
            ("----BEGIN CERTIFICATE----\n----END CERTIFICATE----\n", 1, "want a line such as"),
            ("\n  -----BEGIN CERTIFICATE-----\n  -----END CERTIFICATE-----\n", 2, "want a line such as"),
            ("\u{2014}BEGIN CERTIFICATE\u{2014}\n", 1, "want a line such as"),
            ("-----BEGIN CERTIFICATE\n", 1, "want a line such as"),
        ] {
            let (at, said) = fault(text);
            assert!(at == line && said.contains(reason), "{text:?}: {at}: {said}");
        }
    }

    proptest! {
        /// Cutting a file anywhere loses no block without a word.
        #[test]
        fn no_cut_goes_unnoticed(cut in 0usize..200) {
            let text = "-----BEGIN A-----\nYWJjZGVm\n-----END A-----\n".repeat(3);
            let cut = cut.min(text.len());
            let whole = text[..cut].matches("-----END A-----").count();
            match blocks(&text.as_bytes()[..cut]) {
                Ok(found) => {
                    prop_assert_eq!(found.len(), whole);
                    let rest = text[..cut].rsplit("-----END A-----").next().unwrap();
                    prop_assert!(rest.trim().len() < "-----BEGIN ".len(), "{:?}", rest);
                }
                Err(fault) => prop_assert!(fault.line > whole * 3),
            }
        }
    }
}
