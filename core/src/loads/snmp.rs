//! One figure from an SNMP agent, in version 1 or 2c: a question, and what its answer says. Pure.
//!
//! The figure is the load average of the last minute as UCD's and net-snmp's agents show it. It is asked for as `laLoadInt`,
//! an INTEGER in hundredths; an agent that has no such object is asked for `laLoad`, a text. Looked at is the tag of the value:
//! an agent of version 2c that hides an object says so there, and calls that no error.
//!
//! RFC 1157, RFC 3416 (messages), X.690 (their bytes).

use pen_proto::commands::SnmpVersion;
use pen_proto::load::Load;

/// Longest answer that is looked at. One figure and the longest community take half of it.
pub const ANSWER_BYTES_MAX: usize = 1024;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OPAQUE: u8 = 0x44;
const SEQUENCE: u8 = 0x30;
const GET: u8 = 0xa0;
const RESPONSE: u8 = 0xa2;
/// In a value's place, in version 2c: there is no such object, no such instance of it, nothing after it.
const EXCEPTIONS: [u8; 3] = [0x80, 0x81, 0x82];
const NO_SUCH_NAME: i64 = 2;
/// In an Opaque: a float.
const FLOAT: [u8; 3] = [0x9f, 0x78, 4];

/// A way in which agents show the figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Object {
    #[default]
    LoadInt,
    Load,
}

impl Object {
    /// 1.3.6.1.4.1.2021.10.1.5.1 and 1.3.6.1.4.1.2021.10.1.3.1.
    fn identifier(self) -> &'static [u8] {
        match self {
            Object::LoadInt => &[0x2b, 6, 1, 4, 1, 0x8f, 0x65, 10, 1, 5, 1],
            Object::Load => &[0x2b, 6, 1, 4, 1, 0x8f, 0x65, 10, 1, 3, 1],
        }
    }

    /// The one to ask for when an agent has no such object.
    pub fn other(self) -> Object {
        match self {
            Object::LoadInt => Object::Load,
            Object::Load => Object::LoadInt,
        }
    }
}

/// A question to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    pub version: SnmpVersion,
    pub community: &'a [u8],
    /// Comes back in the answer, not negative: another number is an answer to another question.
    pub id: i32,
    pub object: Object,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Load(Load),
    /// The agent has no such object, or does not show it to this community.
    Hidden,
    /// It says something else; why that is no load.
    Wrong(String),
}

impl Question<'_> {
    /// The datagram that asks.
    pub fn bytes(&self) -> Vec<u8> {
        let name = element(OBJECT_IDENTIFIER, self.object.identifier());
        let binding = element(SEQUENCE, &[name, element(NULL, &[])].concat());
        let zero = element(INTEGER, &[0]);
        let id = element(INTEGER, &self.id.to_be_bytes());
        let request = [id, zero.clone(), zero, element(SEQUENCE, &binding)].concat();
        let version = element(INTEGER, &[self.version_number()]);
        let community = element(OCTET_STRING, self.community);
        element(SEQUENCE, &[version, community, element(GET, &request)].concat())
    }

    fn version_number(&self) -> u8 {
        match self.version {
            SnmpVersion::V1 => 0,
            SnmpVersion::V2c => 1,
        }
    }

    /// Reads a datagram. `None`: it is no answer to this question.
    pub fn read(&self, datagram: &[u8]) -> Option<Answer> {
        let mut rest = datagram;
        let mut message = take(&mut rest, SEQUENCE)?;
        let version = integer(take(&mut message, INTEGER)?)?;
        let community = take(&mut message, OCTET_STRING)?;
        let mut response = take(&mut message, RESPONSE)?;
        let id = integer(take(&mut response, INTEGER)?)?;
        if version != i64::from(self.version_number())
            || community != self.community
            || id != i64::from(self.id)
        {
            return None;
        }
        Some(self.meaning(response).unwrap_or_else(|| Answer::Wrong("an answer that cannot be read".into())))
    }

    /// What follows the id of a response.
    fn meaning(&self, mut response: &[u8]) -> Option<Answer> {
        let error = integer(take(&mut response, INTEGER)?)?;
        take(&mut response, INTEGER)?;
        match error {
            0 => {}
            NO_SUCH_NAME => return Some(Answer::Hidden),
            error => return Some(Answer::Wrong(format!("error {error}"))),
        }
        let mut bindings = take(&mut response, SEQUENCE)?;
        let mut binding = take(&mut bindings, SEQUENCE)?;
        if take(&mut binding, OBJECT_IDENTIFIER)? != self.object.identifier() {
            return Some(Answer::Wrong("another object than the load".into()));
        }
        let (tag, value) = next(&mut binding)?;
        Some(match tag {
            tag if EXCEPTIONS.contains(&tag) => Answer::Hidden,
            INTEGER if self.object == Object::LoadInt => hundredths(integer(value)?),
            OCTET_STRING => {
                let text = String::from_utf8_lossy(value);
                let wrong = || Answer::Wrong(format!("{} for a load", pen_proto::addr::quoted(&text)));
                Load::read(&text).map_or_else(wrong, Answer::Load)
            }
            OPAQUE => float(value).map_or_else(|| Answer::Wrong("no number for a load".into()), Answer::Load),
            NULL => Answer::Wrong("nothing for a load".into()),
            tag => Answer::Wrong(format!("a value of type {tag:#04x} for a load")),
        })
    }
}

fn hundredths(value: i64) -> Answer {
    match u64::try_from(value) {
        Ok(hundredths) => Answer::Load(Load::of_thousandths(hundredths.saturating_mul(10))),
        Err(_) => Answer::Wrong(format!("{value} for a load")),
    }
}

fn float(opaque: &[u8]) -> Option<Load> {
    let bytes: [u8; 4] = opaque.strip_prefix(&FLOAT)?.try_into().ok()?;
    let value = f64::from(f32::from_be_bytes(bytes));
    // A conversion from a float keeps to the bounds of the integer.
    (value >= 0.0 && value.is_finite()).then(|| Load::of_thousandths((value * 1000.0).round() as u64))
}

/// An element with this value, shorter than 65,536 bytes.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let head: &[u8] = match length {
        0..=0x7f => &[tag, length as u8],
        0x80..=0xff => &[tag, 0x81, length as u8],
        _ => &[tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, value].concat()
}

/// Takes the first element, which must have this tag.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, value) = next(bytes)?;
    (found == tag).then_some(value)
}

/// Takes the first element. Lengths may be longer than they need be, as some agents write them.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, length], mut rest) = bytes.split_first_chunk()?;
    let length = match length {
        0..=0x7f => usize::from(length),
        0x81..=0x84 => {
            let (digits, behind) = rest.split_at_checked(usize::from(length & 0x7f))?;
            rest = behind;
            digits.iter().try_fold(0usize, |sum, digit| Some(sum.checked_mul(256)? + usize::from(*digit)))?
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((tag, value))
}

/// The number in an INTEGER of up to eight bytes.
fn integer(value: &[u8]) -> Option<i64> {
    let first = *value.first().filter(|_| value.len() <= 8)?;
    let sign = if first & 0x80 != 0 { -1 } else { 0 };
    Some(value.iter().fold(sign, |sum, byte| (sum << 8) | i64::from(*byte)))
}

#[cfg(test)]
#[path = "snmp_tests.rs"]
mod tests;
