//! The command line: every letter, their clusters, and mistakes named on standard error with status 1.

use crate::common::backend::Backend;
use crate::common::pen::{Ended, Pen};
use crate::common::ports::free_port;
use crate::common::programs;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use pen_proto::commands::{Kind, ROWS};

/// Options and what a control command then answers.
const EFFECTS: &[(&str, &str, &str)] = &[
    ("-T 60", "tracking", "60\n"),
    ("-W", "mode", "no hash no roundrobin no stubborn weight no prio\n"),
    ("-b 11", "blacklist", "11\n"),
    ("-b11", "blacklist", "11\n"),
    ("-c 4000", "clients_max", "4000\n"),
    ("-d", "debug", "1\n"),
    ("-d -d -d", "debug", "3\n"),
    ("-ddd", "debug", "3\n"),
    ("-fdd", "debug", "2\n"),
    ("-frdd", "debug", "2\n"),
    ("-frdd", "mode", "no hash roundrobin no stubborn no weight no prio\n"),
    ("-h", "mode", "hash no roundrobin no stubborn no weight no prio\n"),
    ("-hsr", "mode", "hash roundrobin stubborn no weight no prio\n"),
    ("-l pen.log", "log", "pen.log\n"),
    ("-m 20", "multi_accept", "20\n"),
    ("-q 600", "listen_queue", "600\n"),
    ("-r", "mode", "no hash roundrobin no stubborn no weight no prio\n"),
    ("-rb5", "blacklist", "5\n"),
    ("-s", "mode", "no hash no roundrobin stubborn no weight no prio\n"),
    ("-t 7", "timeout", "7\n"),
    ("-w stats.html", "web_stats", "stats.html\n"),
    ("-x 800", "conn_max", "800\n"),
    ("-O blacklist\u{a0}9", "blacklist", "9\n"),
    ("-o blacklist\u{a0}9", "blacklist", "9\n"),
    ("-O hash -O weight", "mode", "hash no roundrobin no stubborn weight no prio\n"),
    ("-b 11 -O blacklist\u{a0}9", "blacklist", "9\n"),
    ("-O blacklist\u{a0}9 -b 11", "blacklist", "11\n"),
];

#[test]
fn options_do_what_they_say() {
    for (options, command, reply) in EFFECTS {
        let words = options.split(' ').map(|word| word.replace('\u{a0}', " "));
        let pen = words.fold(Pen::before([] as [&str; 0]), |start, word| start.word(word)).start();
        assert_eq!(pen.control(command), *reply, "{options}");
    }
}

#[test]
fn ascii_and_http_are_flags_like_the_commands() {
    let pen = Pen::before([] as [&str; 0]).options("-a -H").start();
    pen.control("write saved");
    let saved = pen.text("saved");
    for line in ["ascii", "http"] {
        assert!(saved.lines().any(|written| written == line), "{line}: {saved}");
    }
}

#[test]
fn options_may_follow_the_addresses() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).server("-b").server("12").server("-r").start();
    assert_eq!(pen.control("blacklist"), "12\n");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn two_hyphens_end_the_options() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-b 12 --").start();
    assert_eq!(pen.control("blacklist"), "12\n");
    assert_eq!(pen.ask(), "A");
}

/// Whatever arguments are, there is an answer; and the environment may hold anything.
#[test]
fn words_that_are_no_text_are_named() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"/tmp/a\xff");
    let pen = || std::process::Command::new(env!("CARGO_BIN_EXE_pen"));
    for words in [&[][..], &["8080"], &["-O"], &["--help", "-l"]] {
        let ended = pen().args(words).arg(bad).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{words:?}");
        assert_eq!(
            String::from_utf8(ended.stderr).unwrap(),
            "pen: \"/tmp/a\\xff\": not UTF-8\n",
            "{words:?}"
        );
    }
    let mut check = pen();
    for name in ["HOME", "LANG", "NOTIFY_SOCKET", "PATH", "TMPDIR", "TZ"] {
        check.env(name, bad);
    }
    let ended = check.args(["--check", "8080", "127.0.0.1:80", "-O", "mode"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// Options and arguments, and what `servers` then tells of server 0 between its address and the bytes.
const SERVERS: &[(&str, &str, &str)] = &[
    (
        "server 0 max 20 hard 25 weight 3 prio 2",
        "127.0.0.1:81",
        "port 81 conn 0 max 20 hard 25 weight 3 prio 2",
    ),
    (
        "server 0 max 20 hard 25 weight 3",
        "127.0.0.1:81:7::0:1",
        "port 81 conn 0 max 7 hard 25 weight 0 prio 1",
    ),
    ("server 0 address ::1 port 82 max 20", "127.0.0.1", "port 82 conn 0 max 20 hard 0 weight 0 prio 0"),
    ("server 0 address ::1 port 82 max 20", "127.0.0.1:81:0", "port 81 conn 0 max 0 hard 0 weight 0 prio 0"),
];

#[test]
fn an_address_overwrites_only_what_it_says() {
    for (command, address, expected) in SERVERS {
        for in_file in [false, true] {
            let start = Pen::before([address]);
            let start = if in_file { start.config(&format!("{command}\n")) } else { start.command(command) };
            let servers = start.start().control("servers");
            assert!(servers.contains(&format!("0 addr 127.0.0.1 {expected} ")), "{command}: {servers}");
        }
    }
}

#[test]
fn a_server_may_be_blacklisted_before_it_is_named() {
    let [a, b] = ["A", "B"].map(Backend::named);
    for in_file in [false, true] {
        let start = Pen::before([&a, &b]).options("-r");
        let line = "server 1 blacklist 60";
        let start = if in_file { start.config(&format!("{line}\n")) } else { start.command(line) };
        assert_eq!(start.start().asks(3), "AAA");
    }
    let ended = Pen::before([&a]).command("server 1 blacklist 60").run();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "pen: server 1: no such server\n"));
}

#[test]
fn a_unix_server_may_have_the_port_of_pens_scripts() {
    let start = Pen::before([] as [&str; 0]);
    let socket = start.path("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let pen = start.server(format!("{}:0", socket.display())).start();
    assert_eq!(pen.control(&format!("server 0 address {} port 0", socket.display())), "");
    let client = pen.connect();
    listener.accept().unwrap();
    drop(client);
}

/// Listen addresses and where a client then finds pen; `N` stands for the port.
const LISTEN: &[(&str, &str)] = &[
    ("N", "127.0.0.1"),
    (":N", "127.0.0.1"),
    ("*:N", "127.0.0.1"),
    ("0.0.0.0:N", "127.0.0.1"),
    ("localhost:N", "127.0.0.1"),
    ("::1:N", "[::1]"),
    ("[::1]:N", "[::1]"),
    ("[::]:N", "[::1]"),
    (":::N", "[::1]"),
];

#[test]
fn listen_addresses_have_many_forms() {
    let server = Backend::named("A");
    for (form, host) in LISTEN {
        let port = crate::common::ports::free_port().to_string();
        let pen = Pen::before([&server]).listen(form.replace('N', &port)).start();
        let address = format!("{host}:{port}").parse().unwrap();
        assert_eq!(crate::common::client::Client::connect(address).line(), "A", "{form}");
        drop(pen);
    }
}

#[test]
fn server_ports_default_to_the_listen_port() {
    let port = crate::common::ports::free_port();
    let other = std::net::TcpListener::bind(("127.0.0.77", port)).unwrap();
    let pen = Pen::before(["127.0.0.77"]).listen(format!("127.0.0.1:{port}")).start();
    assert!(
        pen.control("servers").contains(&format!("addr 127.0.0.77 port {port} ")),
        "{}",
        pen.control("servers")
    );
    drop(other);
}

/// Command lines and the word the message must name; `PORT` stands for a free port.
const MISTAKES: &[(&str, &str)] = &[
    ("-b x PORT 127.0.0.1:80", "x"),
    ("-b -1 PORT 127.0.0.1:80", "-1"),
    ("-t 0 PORT 127.0.0.1:80", "0"),
    ("-t x PORT 127.0.0.1:80", "x"),
    ("-x -1 PORT 127.0.0.1:80", "-1"),
    ("-c 0 PORT 127.0.0.1:80", "0"),
    ("-T 1s PORT 127.0.0.1:80", "1s"),
    ("-m 0 PORT 127.0.0.1:80", "0"),
    ("-q many PORT 127.0.0.1:80", "many"),
    ("-b", "b"),
    ("-y PORT 127.0.0.1:80", "y"),
    ("--bogus PORT 127.0.0.1:80", "bogus"),
    ("-q 0 PORT 127.0.0.1:80", "0"),
    ("99999 127.0.0.1:80", "99999"),
    ("nosuchsvc 127.0.0.1", "listen: port"),
    ("0 127.0.0.1:80", "0"),
    ("8081x 127.0.0.1:80", "8081x"),
    ("no.such.host.invalid:PORT 127.0.0.1:80", "no.such.host.invalid"),
    ("PORT 127.0.0.1:99999", "99999"),
    ("PORT 127.0.0.1:nosuchsvc", "nosuchsvc"),
    ("PORT 127.0.0.1:80:x", "x"),
    ("PORT 127.0.0.1:80:1:2:3:4:5", "5"),
    ("PORT no.such.host.invalid:80", "no.such.host.invalid"),
    ("-e 127.0.0.1:x0 PORT 127.0.0.1:80", "x0"),
    ("-B 127.0.0.1:x0 PORT 127.0.0.1:80", "x0"),
    ("-O bogus PORT 127.0.0.1:80", "bogus"),
    ("-O source PORT 127.0.0.1:80", "source"),
    ("-u nosuchuser PORT 127.0.0.1:80", "nosuchuser"),
    ("-C 99999 PORT 127.0.0.1:80", "99999"),
];

fn run(words: &str) -> Ended {
    let port = crate::common::ports::free_port().to_string();
    Pen::bare(&format!("-f {}", words.replace("PORT", &port))).run()
}

fn is_a_usage_error(ended: &Ended, options: &str, name: &str) {
    assert_eq!(ended.code, Some(1), "{options}: {ended:?}");
    assert_eq!(ended.stdout, "", "{options}");
    assert!(ended.stderr.starts_with("pen: "), "{options}: {ended:?}");
    assert!(ended.stderr.contains(name), "{options}: {name:?} is not named: {ended:?}");
}

#[test]
fn mistakes_are_named() {
    for (words, name) in MISTAKES {
        is_a_usage_error(&run(words), words, name);
    }
}

#[test]
fn what_means_nothing_any_more_is_accepted() {
    for row in ROWS.iter().filter(|row| matches!(row.kind, Kind::Gone(_))) {
        let mut start = Pen::before([] as [&str; 0]);
        if let Some(letter) = row.letter {
            start = start.word(format!("-{letter}"));
            start = if row.option_arg().is_some() { start.word("3") } else { start };
        }
        if row.is_command() {
            start = start.command(row.word).command(format!("no {}", row.word));
        }
        let pen = start.start();
        assert_eq!(pen.control("blacklist"), "30\n", "{}", row.word);
        if row.is_command() {
            assert!(pen.control(row.word).ends_with(".\n"), "{}: explained", row.word);
        }
    }
}

#[test]
fn nothing_to_do_is_a_usage_error() {
    let ended = Pen::bare("").run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.to_lowercase().contains("usage"), "{ended:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = Pen::bare("--help").run();
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for letter in "BCFHOTWXabcdefhjlmopqrstuwx".chars() {
        assert!(help.stdout.contains(&format!("-{letter}")), "-{letter} is not in\n{}", help.stdout);
    }
    assert!(help.stdout.lines().all(|line| line.chars().count() <= 80), "for a terminal of 80 columns");
    let version = Pen::bare("--version").run();
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
}

#[test]
fn check_reads_everything_and_starts_nothing() {
    let taken = Backend::named("A");
    let dir = TempDir::new();
    let good = dir.file("good.conf", "blacklist 7\n");
    let bad = dir.file("bad.conf", "\nbogus\n");
    let check = |file: &std::path::Path| {
        Pen::bare("--check -F").word(file.display()).word(taken.address()).word("127.0.0.1:80").run()
    };
    let valid = check(&good);
    assert_eq!(
        (valid.code, valid.stdout.as_str()),
        (Some(0), "valid\n"),
        "an address in use does not matter"
    );
    let nobody = Pen::bare("--check -u nosuchuser").word(taken.address()).word("127.0.0.1:80").run();
    is_a_usage_error(&nobody, "-u", "nosuchuser");
    is_a_usage_error(&check(&bad), "bad.conf", "bad.conf:2");
}

#[test]
fn check_finds_what_a_start_would_stumble_over_and_changes_nothing() {
    let dir = TempDir::new();
    for (text, wanted) in [
        ("hash\nlog DIR/none/log\n", ":2: log: Can't open logfile"),
        ("log DIR\n", ":1: log: Can't open logfile"),
        ("geoip DIR/none.mmdb\n", ":1: geoip: "),
        ("hash\nssl_certificate DIR/none.pem\n", ":2: ssl_certificate: "),
        ("server 0 address nobody.invalid\n", ":1: host \"nobody.invalid\""),
        ("service web\nclients_from nobody\n", ":2: service web: clients_from: service nobody"),
        (
            "service web\nlisten 127.0.0.1:4711\n",
            ":2: service web: listen: 127.0.0.1:4711: service main listens at",
        ),
        ("service web\nhash\nlisten 0.0.0.0:4711\n", "service main listens at 127.0.0.1:4711 already"),
        ("server nobody weight 3\n", ":1: server nobody: no such server"),
    ] {
        // Whichever of two overlapping listeners is told of, both are named.
        let file = dir.file("pen.conf", &text.replace("DIR", &dir.path().display().to_string()));
        let ended = Pen::bare("--check -F").word(file.display()).word("127.0.0.1:4711").run();
        assert_eq!(
            (ended.code, ended.stdout.contains("valid")),
            (Some(1), false),
            "{text}: {}",
            ended.stderr
        );
        let clash = wanted.contains("already") && ended.stderr.contains("0.0.0.0:4711");
        assert!(ended.stderr.contains(wanted) || clash, "{text}: {}", ended.stderr);
    }
    let written = dir.path().join("written");
    let text = format!("log {0}/log\nwrite {1}\n", dir.path().display(), written.display());
    let file = dir.file("pen.conf", &text);
    let pid = dir.path().join("pid");
    let valid = Pen::bare("--check -F")
        .word(file.display())
        .word("-p")
        .word(pid.display())
        .word("127.0.0.1:4711")
        .run();
    assert_eq!((valid.code, valid.stdout.as_str()), (Some(0), "valid\n"), "{}", valid.stderr);
    assert!(!written.exists() && !pid.exists() && !dir.path().join("log").exists());
    let socket = dir.path().join("none/control").display().to_string();
    let control =
        Pen::bare("--check -u nobody -C").word(&socket).word("127.0.0.1:4711").word("127.0.0.1:80").run();
    assert_eq!(control.code, Some(1));
    assert!(control.stderr.contains(&format!("{socket}: no such file or directory")), "{}", control.stderr);
    let jail =
        Pen::bare("--check -j").word(written.display()).word("127.0.0.1:4711").word("127.0.0.1:80").run();
    assert_eq!(jail.code, Some(1));
    assert!(jail.stderr.contains("Can't chroot("), "{}", jail.stderr);
}

#[test]
fn a_port_for_nobody_is_an_error_that_says_what_is_missing() {
    for (words, wanted) in [
        ("-t 80 127.0.0.1:80", "; 80 is the seconds of -t, not the port"),
        ("127.0.0.1:80", "want servers behind it"),
        ("-r 127.0.0.1:4711", "127.0.0.1:4711: want servers behind it"),
    ] {
        let ended = Pen::bare(words).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{words}");
        assert!(ended.stderr.contains(wanted), "{words}: {}", ended.stderr);
    }
    for words in ["-F /dev/null", "-C 127.0.0.1:0", "-e 127.0.0.1:1", "-B 127.0.0.1:1", "-O dummy"] {
        let ended = Pen::bare(&format!("--check {words} 127.0.0.1:4711")).run();
        assert_eq!(ended.code, Some(0), "{words}: {}", ended.stderr);
    }
}

#[test]
fn replies_of_start_commands_go_to_standard_output() {
    let pen = Pen::before([] as [&str; 0]).command("blacklist 9").command("mode").start();
    let want = "9\nno hash no roundrobin no stubborn no weight no prio\n";
    eventually("the replies", || pen.text("stdout"), |stdout| stdout == want);
}

#[test]
fn servers_may_have_names() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("localhost:{}", server.port())]).start();
    assert_eq!(pen.ask(), "A");
}

/// Adds to `/etc/hosts` of Debian what nearly every machine has, and lets pen say what it made of `localhost`.
const NAMES_IN_A_NAMESPACE: &str = r#"
    printf '::1 localhost\n127.0.0.1 localhost\n' > hosts && mount --bind hosts /etc/hosts || exit
    ip link set lo up && ip address add 192.0.2.1/32 dev lo || exit
    "$0" "$@" & until grep -q ' 0 ' stderr; do kill -0 $! || exit; done; kill $!
"#;

#[test]
fn without_ipv6_localhost_is_an_ipv4_address() {
    if !root() {
        return skip("a network namespace needs root");
    }
    let ended = Pen::bare("-f -d 192.0.2.1:80 localhost:1110")
        .through("unshare --net --mount sh -c")
        .through_script(NAMES_IN_A_NAMESPACE)
        .run();
    assert!(ended.stderr.contains("  0 127.0.0.1:1110:"), "{ended:?}");
}

#[test]
fn threads_are_as_many_as_asked_for() {
    let threads = |count: usize| {
        let pen = Pen::before([] as [&str; 0]).options(&format!("--threads {count}")).start();
        std::fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap().count()
    };
    assert_eq!(threads(5) - threads(1), 4);
}

#[test]
fn outputs_that_take_nothing_end_nobody_with_a_panic() {
    let ended = |words: &str| {
        let script = format!("exec \"$0\" {words}");
        let ended = programs::run("timeout", &["20", "sh", "-c", &script, env!("CARGO_BIN_EXE_pen")], "");
        (ended.code, ended.stderr)
    };
    let demo = format!("--demo 127.0.0.1:{}", free_port());
    for words in ["--version", "--help", "--completions bash", "--as glbd -h", &demo] {
        let (code, said) = ended(&format!("{words} >/dev/full"));
        assert!(
            code == Some(1) && said.ends_with("standard output: no space left on device\n"),
            "{words}: {said}"
        );
    }
    for words in ["-Z", "--as glbd -Z", "--import /no/such"] {
        assert_eq!(ended(&format!("{words} 2>/dev/full")).0, Some(1), "{words}");
    }
}
