//! Questions and answers byte by byte, as net-snmp writes them, damaged, and not for us.

use super::*;
use proptest::prelude::*;

const QUESTION: Question<'static> =
    Question { version: SnmpVersion::V2c, community: b"public", id: 0x1234_5678, object: Object::LoadInt };

/// An answer to it, with this error status and value.
fn answer(question: Question<'_>, error: u8, value: &[u8]) -> Vec<u8> {
    let name = element(OBJECT_IDENTIFIER, question.object.identifier());
    let bindings = element(SEQUENCE, &element(SEQUENCE, &[&name, value].concat()));
    let id = element(INTEGER, &question.id.to_be_bytes());
    let numbers = [element(INTEGER, &[error]), element(INTEGER, &[u8::from(error != 0)])].concat();
    let response = element(RESPONSE, &[id, numbers, bindings].concat());
    let head = [element(INTEGER, &[question.version_number()]), element(OCTET_STRING, question.community)];
    element(SEQUENCE, &[head.concat(), response].concat())
}

fn load(thousandths: u64) -> Answer {
    Answer::Load(Load::of_thousandths(thousandths))
}

#[test]
fn the_question_is_the_one_that_snmpget_sends() {
    let bytes = Question { id: 0x0102_0304, ..QUESTION }.bytes();
    let mut expected = vec![0x30, 0x2c, 2, 1, 1, 4, 6];
    expected.extend_from_slice(b"public");
    expected
        .extend_from_slice(&[0xa0, 0x1f, 2, 4, 1, 2, 3, 4, 2, 1, 0, 2, 1, 0, 0x30, 0x11, 0x30, 0x0f, 6, 11]);
    expected.extend_from_slice(Object::LoadInt.identifier());
    expected.extend_from_slice(&[5, 0]);
    assert_eq!(bytes, expected);
}

#[test]
fn the_tag_of_the_value_says_what_an_answer_means() {
    let text = Question { object: Object::Load, ..QUESTION };
    // As net-snmp 5.9 writes them.
    for (question, error, value, expected) in [
        (QUESTION, 0, &[0x02, 0x02, 0x02, 0xac][..], load(6_840)),
        (QUESTION, 0, &[0x02, 0x01, 0x00], load(0)),
        (QUESTION, 0, &[0x02, 0x01, 0xff], Answer::Wrong("-1 for a load".into())),
        (text, 0, b"\x04\x046.84", load(6_840)),
        (text, 0, b"\x04\x04high", Answer::Wrong("\"high\" for a load".into())),
        (text, 0, &[0x44, 7, 0x9f, 0x78, 4, 0x40, 0xda, 0xe1, 0x48], load(6_840)),
        (text, 0, &[0x44, 7, 0x9f, 0x78, 4, 0x7f, 0xc0, 0, 0], Answer::Wrong("no number for a load".into())),
        (QUESTION, 0, &[0x80, 0], Answer::Hidden),
        (QUESTION, 0, &[0x81, 0], Answer::Hidden),
        (QUESTION, 0, &[0x82, 0], Answer::Hidden),
        (QUESTION, 2, &[0x05, 0], Answer::Hidden),
        (QUESTION, 0, &[0x05, 0], Answer::Wrong("nothing for a load".into())),
        (QUESTION, 5, &[0x05, 0], Answer::Wrong("error 5".into())),
        (QUESTION, 0, &[0x41, 1, 7], Answer::Wrong("a value of type 0x41 for a load".into())),
        (QUESTION, 0, &[0x02, 9, 1, 2], Answer::Wrong("an answer that cannot be read".into())),
    ] {
        assert_eq!(question.read(&answer(question, error, value)), Some(expected), "{value:?}");
    }
}

#[test]
fn answers_to_others_are_none() {
    let value = [0x02, 1, 7];
    for other in [
        Question { id: 1, ..QUESTION },
        Question { version: SnmpVersion::V1, ..QUESTION },
        Question { community: b"private", ..QUESTION },
    ] {
        assert_eq!(QUESTION.read(&answer(other, 0, &value)), None, "{other:?}");
    }
    assert_eq!(QUESTION.read(&QUESTION.bytes()), None, "a question is no answer");
    let other = Question { object: Object::Load, ..QUESTION };
    let wrong = Answer::Wrong("another object than the load".into());
    assert_eq!(QUESTION.read(&answer(other, 0, &value)), Some(wrong));
}

#[test]
fn lengths_may_be_longer_than_they_need_be() {
    let short = answer(QUESTION, 0, &[0x02, 1, 7]);
    let long = [&[0x30, 0x84, 0, 0, 0, short[1]], &short[2..]].concat();
    assert_eq!(QUESTION.read(&long), Some(load(70)));
    let endless = [&[0x30, 0x80], &short[2..]].concat();
    assert_eq!(QUESTION.read(&endless), None);
}

proptest! {
    #[test]
    fn no_datagram_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(QUESTION.read(&bytes), None);
    }

    /// Damaged answers are read as something or as nothing, and cut ones never as a load.
    #[test]
    fn damage_does_no_harm(at in 0..64usize, byte: u8, length in 0..64usize) {
        let whole = answer(QUESTION, 0, &[0x02, 0x02, 0x02, 0xac]);
        let mut damaged = whole.clone();
        let at = at % whole.len();
        damaged[at] = byte;
        let _ = QUESTION.read(&damaged);
        let cut = &whole[..length % whole.len()];
        prop_assert!(!matches!(QUESTION.read(cut), Some(Answer::Load(_))));
    }

    #[test]
    fn every_load_is_read(hundredths in 0..100_000_000u32, community in prop::collection::vec(any::<u8>(), 1..255)) {
        let question = Question { community: &community, ..QUESTION };
        let value = element(INTEGER, &u64::from(hundredths).to_be_bytes());
        prop_assert_eq!(question.read(&answer(question, 0, &value)), Some(load(u64::from(hundredths) * 10)));
        prop_assert!(question.bytes().len() < ANSWER_BYTES_MAX);
    }
}
