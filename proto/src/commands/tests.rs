//! Tests of the table as a whole.

use super::*;
use crate::addr::{Host, Port};
use std::collections::HashSet;
use std::net::Ipv6Addr;

#[test]
fn words_letters_and_long_names_are_unique() {
    let words: HashSet<_> = ROWS.iter().map(|row| row.word).collect();
    assert_eq!(words.len(), ROWS.len());
    let letters: Vec<_> = ROWS.iter().filter_map(|row| row.letter).collect();
    assert_eq!(letters.iter().collect::<HashSet<_>>().len(), letters.len());
    let longs: Vec<_> = ROWS.iter().filter_map(|row| row.long).collect();
    assert_eq!(longs.iter().collect::<HashSet<_>>().len(), longs.len());
}

#[test]
fn every_setting_has_one_row() {
    let settings: Vec<Setting> = ROWS.iter().filter_map(|row| row.kind.setting()).collect();
    let expected = Flag::COUNT + Number::COUNT + Choice::COUNT + Text::COUNT + Address::COUNT;
    assert_eq!(settings.len(), expected);
    assert_eq!(settings.iter().collect::<HashSet<_>>().len(), expected);
    for setting in settings {
        assert_eq!(setting.row().kind.setting(), Some(setting));
    }
    for list in [List::Acl, List::ProxyAccept, List::SslOption] {
        assert!(matches!(list.row().kind, Kind::List(found) if found == list));
    }
}

#[test]
fn every_value_of_a_choice_has_a_word() {
    fn words<T: OneOf + std::fmt::Debug>() -> Vec<&'static str> {
        assert_eq!(T::ALL.len(), T::SETTING.words().len());
        for (place, value) in T::ALL.iter().enumerate() {
            assert_eq!(usize::from(value.place()), place, "{value:?}");
        }
        T::ALL.iter().map(|value| value.word()).collect()
    }
    assert_eq!(words::<FastClose>(), ["up", "down", "both", "off"]);
    assert_eq!(words::<LogFormat>(), ["pen", "json"]);
    assert_eq!(
        words::<PolicyKind>(),
        [
            "pen",
            "round_robin",
            "least_conn",
            "single",
            "random",
            "source",
            "uri_hash",
            "uri_static",
            "least_load"
        ]
    );
    assert_eq!(words::<Overload>(), ["relaxed", "strict"]);
    assert_eq!(words::<OnDown>(), ["keep", "close"]);
    assert_eq!(words::<HttpMode>(), ["no", "", "replace", "replace h2", "append"]);
    assert_eq!(words::<ClientCertificate>(), ["off", "optional", "required"]);
}

#[test]
fn every_row_is_told_properly() {
    for row in ROWS {
        let word = row.word;
        assert!(!row.summary.is_empty() && !row.summary.ends_with('.'), "{word}: summary");
        assert!(row.detail.is_empty() || row.detail.ends_with('.'), "{word}: detail");
        assert!(!row.detail.contains("  "), "{word}: two blanks in the detail");
        assert_eq!(row.from == From::Here, !row.since.is_empty(), "{word}: since");
        assert_eq!(row.is_command(), !word.starts_with('-'), "{word}");
        assert!(row.is_command() || row.is_option(), "{word}");
        match row.kind {
            Kind::Flag { .. } => {
                assert!(row.no == row.is_command() && row.args.is_empty(), "{word}: a flag has a no form");
            }
            Kind::Number { min, max, default, answer, .. } => {
                let is_none = answer == Answer::OrNone && default == Number::NONE && row.no;
                assert!((min..=max).contains(&default) || is_none, "{word}: default");
                assert_eq!(row.args.len(), 1, "{word}: a number has one argument");
            }
            Kind::Choice { words, default, .. } => {
                assert_eq!(row.no, words.contains(&Choice::NO), "{word}: no");
                assert!(usize::from(default) < words.len(), "{word}: default");
            }
            Kind::Seconds { min_ms, max_ms, default_ms, .. } => {
                assert!((min_ms..=max_ms).contains(&default_ms), "{word}: default");
            }
            Kind::Mode { default, .. } => assert!(default <= 0o777, "{word}: default"),
            Kind::Decimal { max, default, .. } => assert!(default <= max, "{word}: default"),
            Kind::Rate { .. } => assert_eq!(row.args.len(), 2, "{word}: arguments"),
            Kind::Text { .. } | Kind::Address { .. } | Kind::Rest { .. } => {
                // `listen` may also add an address to those there are.
                assert_eq!(row.args.len(), if word == "listen" { 2 } else { 1 }, "{word}: arguments");
            }
            Kind::OptionOnly => assert!(!row.is_command(), "{word}"),
            _ => {}
        }
    }
}

#[test]
fn every_option_of_the_original_has_a_row() {
    for letter in "BCDFHNOPQSTUWXZabcdefhijlmnopqrstuwxEKGARL".chars() {
        assert!(row_for_letter(letter).is_some(), "-{letter}");
    }
}

#[test]
fn options_take_arguments_where_the_original_does() {
    let taking: String =
        ROWS.iter().filter(|row| row.option_arg().is_some()).filter_map(|row| row.letter).collect();
    let mut taking: Vec<_> = taking.chars().collect();
    taking.sort_unstable();
    let mut expected: Vec<_> = "BCFOSTbceijlmopqtuwxEKGAL".chars().collect();
    expected.sort_unstable();
    assert_eq!(taking, expected);
    assert!(row_for_long("threads").expect("--threads").option_arg().is_some());
}

#[test]
fn a_row_is_found_however_it_is_spelled() {
    for (text, word) in
        [("blacklist", "blacklist"), ("-b", "blacklist"), ("-F", "-F"), ("--threads", "threads")]
    {
        assert_eq!(row_spelled(text).expect(text).word, word);
    }
    for text in ["", "-", "--", "-bb", "--nothing", "b"] {
        assert!(row_spelled(text).is_none(), "{text:?}");
    }
}

#[test]
fn the_row_of_server_lists_the_keys() {
    let Complete::Words(words) = row("server").expect("server").args[1].complete else {
        panic!("the keys are words");
    };
    assert!(words.iter().eq(SERVER_KEYS.iter().map(|key| &key.word)));
}

#[test]
fn a_log_target_is_a_file_or_a_host_and_port() {
    let file = LogTarget::parse("/var/log/a:b").expect("a file");
    assert_eq!(file, LogTarget::File("/var/log/a:b".to_owned()));
    let text = "[::1]:514";
    let network = LogTarget::parse(text).expect("a network target");
    let host = Host::Ip(Ipv6Addr::LOCALHOST.into());
    assert_eq!(network, LogTarget::Network { host, port: Port::Number(514), text: text.to_owned() });
    for target in [file, network] {
        assert_eq!(LogTarget::parse(&target.to_string()), Ok(target));
    }
    for wrong in ["", "a\nb", "loghost:", "loghost:99999", ":514"] {
        assert!(LogTarget::parse(wrong).is_err(), "{wrong:?}");
    }
}
