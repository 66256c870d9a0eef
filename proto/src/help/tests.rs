//! Tests of the presentations: nothing of the table is left out, and lines fit.

use super::*;

#[test]
fn documents_say_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
    let text = commands_md();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).expect("docs/commands.md can be written");
    }
    let file = std::fs::read_to_string(path).expect("docs/commands.md can be read");
    assert!(file == text, "docs/commands.md is out of date: run the tests with UPDATE_DOCS=1");
}

#[test]
fn lines_fit_a_terminal() {
    let mut texts = vec![usage(), help()];
    texts.extend(ROWS.iter().map(|row| help_for(row.word).expect(row.word)));
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.len() <= COLUMNS && line.trim_end() == line, "{line:?}");
    }
}

#[test]
fn every_option_and_command_is_listed() {
    let (usage, help, md) = (usage(), help(), commands_md());
    let (options, commands) = (mdoc_options(), mdoc_commands());
    for row in ROWS {
        let word = row.word;
        assert!(md.contains(&synopsis(row)), "{word} in the documents");
        if let Some(option) = option_names(row) {
            assert!(usage.contains(&option), "{word} in usage");
            let letter = row.letter.map(|letter| format!(".It Fl {letter}"));
            let item = letter.unwrap_or_else(|| format!(".It Fl Fl {}", mdoc_word(row.long.expect(word))));
            assert!(options.contains(&item), "{item}");
        }
        if row.is_command() {
            assert!(help.contains(word), "{word} in help");
            assert!(commands.contains(&format!("Cm {}", mdoc_word(word))), "{word} in the man page");
        }
    }
}

/// Words of three letters and less are protected in mdoc.
fn mdoc_word(word: &str) -> String {
    if word.len() <= 3 { format!("\\&{word}") } else { word.to_owned() }
}

#[test]
fn options_are_aligned() {
    let text = usage();
    assert!(
        text.contains("\n  -b SECONDS            how long a server that failed is skipped [30]\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  -r                    round robin, without sticky sessions (affinity)\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  --threads N           worker threads; 0: one for each processor [0]\n"),
        "{text}"
    );
}

#[test]
fn help_explains_one_command() {
    let expected = "\
timeout [SECONDS]
-t SECONDS

    How long a connect to a server may take.

    When the time is over, pen blacklists the server and sends the client to the
    next one. Other programs call this the connect timeout.

    From 1 to 86400 seconds; the default is 3.
";
    assert_eq!(help_for("timeout").as_deref(), Some(expected));
    assert_eq!(help_for("-t"), help_for("timeout"));
    assert!(help_for("server").expect("server").contains("\n  weight N              share of"));
    assert_eq!(help_for("blaklist"), None);
}

#[test]
fn forms_are_shown() {
    let shown = |word: &str| synopses(row_spelled(word).expect(word));
    assert_eq!(shown("hash"), ["[no] hash", "-h"]);
    assert_eq!(shown("acl"), ["acl N permit|deny ADDRESS[/LENGTH] [MASK]", "no acl N"]);
    assert_eq!(shown("log"), ["log [FILE|HOST:PORT]", "no log", "-l FILE|HOST:PORT"]);
    assert_eq!(shown("debug"), ["debug [N]", "-d"]);
    assert_eq!(shown("-F"), ["-F FILE"]);
    assert_eq!(shown("threads"), ["threads [N]", "--threads N"]);
}

#[test]
fn mdoc_is_escaped() {
    let options = mdoc_options();
    assert!(options.contains("\n.It Fl d\n"));
    assert!(options.contains("\n.It Fl l Ar FILE|HOST:PORT\n"));
    assert!(options.contains("\n.It Fl Fl threads Ar \\&N\n"));
    assert!(options.contains("\\fB\\&\\-u\\fR"));
    let commands = mdoc_commands();
    assert!(commands.contains("\n.It Oo Cm no Oc Cm hash\n"));
    assert!(commands.contains(
        "\n.It Cm \\&acl Ar \\&N Cm permit|deny Ar ADDRESS[/LENGTH] Oo Ar MASK Oc\n.It Cm no Cm \\&acl Ar \\&N\n"
    ));
    assert!(commands.contains(
        "\n.It Cm server Cm \\&add Ar [NAME=]HOST[:PORT...] Oo Ar \\&KEY Ar VALUE... Oc\n.It Cm server Ar N|NAME|all Cm enable|disable|reset\n"
    ));
    for line in options.lines().chain(commands.lines()) {
        assert!(!line.is_empty() && !line.starts_with('\''), "{line:?}");
    }
}

fn words(line: &str) -> Vec<&'static str> {
    let word = |completion| match completion {
        Completion::Word(word) => word,
        other => panic!("{line}: {other:?}"),
    };
    completions(line).into_iter().map(word).collect()
}

#[test]
fn what_may_come_next_is_offered() {
    assert_eq!(words("bl"), ["blacklist"]);
    assert_eq!(words("no"), ["no"]);
    assert_eq!(words("no tr"), ["transparent"]);
    assert!(!words("no ").contains(&"blacklist"));
    assert!(words("").contains(&"no") && !words("").contains(&"epoll"));
    assert_eq!(words("acl 1 d"), ["deny"]);
    assert_eq!(words("tcp_fastclose "), ["up", "down", "both", "off"]);
    assert_eq!(words("servers "), ["json"]);
    assert_eq!(words("help tcp_n"), ["tcp_nodelay"]);
    assert_eq!(words("server 1 w"), ["weight", "warm_up"]);
    assert_eq!(words("server 1 max 5 p"), ["port", "prio", "proxy"]);
    assert_eq!(completions("server 1 max "), []);
    let word = Completion::Word;
    assert_eq!(completions("server "), [Completion::Server, word("add"), word("all")]);
    assert_eq!(words("server all "), ["enable", "disable", "reset"]);
    assert_eq!(words("server web d"), ["disable", "drain"]);
    assert_eq!(words("server add ::1 w"), ["weight", "warm_up"]);
    assert_eq!(completions("server add "), []);
    assert_eq!(completions("close 1"), [Completion::Connection]);
    assert_eq!(completions("include /e"), [Completion::Path]);
    assert_eq!(completions("no acl 1 "), []);
    assert_eq!(completions("nothing "), []);
}

proptest::proptest! {
    #[test]
    fn whatever_is_typed_can_be_completed(line in "(server|no|acl|ssl_option|help)?[ \t]?\\PC{0,12}[ \t]?\\PC{0,3}") {
        let begun = line.rsplit([' ', '\t']).next().unwrap_or("");
        for candidate in completions(&line) {
            if let Completion::Word(word) = candidate {
                proptest::prop_assert!(word.starts_with(begun), "{}: {}", line, word);
            }
        }
        help_for(&line);
    }
}
