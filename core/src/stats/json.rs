//! The snapshot as one line of JSON: the answer to `status json`, read back by penctl and webstats.

use crate::escape::is_dangerous;
use pen_proto::status::Status;
use std::fmt::Write;

/// One JSON object and a newline. The field names are those of [`Status`].
pub fn render(status: &Status) -> String {
    let mut json = plain(status);
    json.push('\n');
    json
}

/// The object in a form that may stand in an attribute of HTML between single quotes and still is the same JSON: what
/// would be markup, or invisible, appears as an escape of JSON.
pub fn for_attribute(status: &Status) -> String {
    let plain = plain(status);
    let mut json = String::with_capacity(plain.len());
    for c in plain.chars() {
        // All of these are in the basic plane, and in JSON they occur inside strings only.
        if matches!(c, '&' | '<' | '>' | '\'') || is_dangerous(c) {
            // Writing to a String cannot fail.
            let _ = write!(json, "\\u{:04x}", u32::from(c));
        } else {
            json.push(c);
        }
    }
    json
}

fn plain(status: &Status) -> String {
    // Numbers, strings and lists always have a JSON form; only maps with odd keys do not, and there are none.
    serde_json::to_string(status).expect("a status has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn is_one_line_that_reads_back_as_the_same_snapshot() {
        for status in [samples::busy(), samples::hostile(), Status::default()] {
            let json = render(&status);
            assert_eq!(json.find('\n'), Some(json.len() - 1));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }

    #[test]
    fn the_form_for_an_attribute_has_no_markup_and_reads_back() {
        for status in [samples::busy(), samples::hostile()] {
            let json = for_attribute(&status);
            assert!(!json.contains(|c: char| "&<>'".contains(c) || is_dangerous(c)));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
