//! XML as far as configurations need it: elements with attributes, each with its place. Text, comments, instructions and
//! whatever a DOCTYPE declares are passed over: nothing is expanded and nothing else is read.

use super::{Note, Place};
use pen_proto::addr::quoted;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep elements may lie in each other.
const DEPTH_MAX: usize = 32;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub place: Place,
    attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
}

impl Element {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the root element.
///
/// # Errors
/// What is wrong, and where.
pub fn read(text: &str) -> Result<Element, Note> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let before = reader.buffer_position();
        let place = |at: u64| place_of(text, at as usize);
        let event = reader.read_event();
        let event =
            event.map_err(|error| Note { place: place(reader.error_position()), text: error.to_string() })?;
        let element = match event {
            Event::Start(start) => {
                open.push(element(&start, place(before))?);
                if open.len() > DEPTH_MAX {
                    let text = format!("elements lie more than {DEPTH_MAX} deep");
                    return Err(Note { place: place(before), text });
                }
                continue;
            }
            Event::Empty(start) => element(&start, place(before))?,
            // The reader has looked whether it is the end of the last.
            Event::End(_) => match open.pop() {
                Some(element) => element,
                None => continue,
            },
            Event::Eof => break,
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if root.is_none() => root = Some(element),
            None => {
                let text = format!("want one root element, got <{}> too", element.name);
                return Err(Note { place: element.place, text });
            }
        }
    }
    if let Some(element) = open.pop() {
        return Err(Note { place: element.place, text: format!("<{}> is not closed", element.name) });
    }
    root.ok_or_else(|| Note { place: 1.into(), text: "want an element".to_owned() })
}

fn element(start: &BytesStart<'_>, place: Place) -> Result<Element, Note> {
    let wrong = |text: String| Note { place, text };
    let name = start.name().as_ref().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| wrong(format!("<{name}>: {error}")))?;
        let key = attribute.key.as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| wrong(format!("<{name}>: {}: {error}", quoted(&key))))?;
        attributes.push((key, value.into_owned()));
    }
    Ok(Element { name, place, attributes, children: Vec::new() })
}

fn place_of(text: &str, at: usize) -> Place {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line_begins = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[line_begins..]).chars().count() + 1;
    Place { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_attributes_children_and_places() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!DOCTYPE config SYSTEM \"file:///etc/passwd\">\n<!-- one -->\n\
                    <config>\n  <a x=\"1 &amp; 2\" y='&#65;'/>text<b><c/></b></config>\n";
        let root = read(text).unwrap();
        let [a, b] = &root.children[..] else { panic!("{root:?}") };
        assert_eq!((a.get("x"), a.get("y"), a.get("z")), (Some("1 & 2"), Some("A"), None));
        assert_eq!((a.place, b.children[0].name.as_str()), (Place { line: 5, column: 3 }, "c"));
    }

    #[test]
    fn what_is_broken_is_named_with_line_and_column() {
        for (text, expected) in [
            ("", "1: want an element"),
            ("<a>\n <b></c></a>", "2:"),
            ("<a>\n  <b>", "2:3: <b> is not closed"),
            ("<a/>\n<b/>", "2:1: want one root element, got <b> too"),
            ("<a x=1/>", "1:1: <a>: "),
            ("<a x='1' x='2'/>", "1:1: <a>: "),
            ("<a>\n<b x='&secret;'/></a>", "2:1: <b>: \"x\": "),
            ("<a", "1:"),
            ("\n</a>", "2:"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        assert!(read(&deep).unwrap_err().text.contains("more than 32 deep"));
    }

    #[test]
    fn nothing_is_expanded() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]>\n<a x='&c;'/>";
        assert!(read(bomb).unwrap_err().to_string().starts_with("2:1: <a>: \"x\": "));
    }
}
