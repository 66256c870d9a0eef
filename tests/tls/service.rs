//! What a client of a pen with `-E` gets.

use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, echo, read_line};
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::process::rss_kib;
use crate::common::wait::eventually;
use crate::peers::{BOTH_VERSIONS, Speaker};
use std::io::Write;
use std::thread;

const LARGE_BYTES: usize = 8 << 20;

#[test]
fn clients_reach_servers_with_both_versions() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    for version in BOTH_VERSIONS {
        let speaker = Speaker::with(&authority, None, &[version]);
        let mut client = speaker.connect(pen.address, "web.test");
        assert_eq!((client.line(), client.exchange("hello")), ("A".into(), "hello".into()), "{version:?}");
    }
}

#[test]
fn a_lot_arrives_as_it_was_sent_both_ways_at_once() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    let mut stream = client.stream;
    let mut position = 0;
    // Requests of all sizes, each answered before the next: more than fits would be a deadlock of the test.
    for size in (0..).map(|turn| 1 + turn * 7919 % 300_000) {
        let size = size.min(LARGE_BYTES - position);
        if size == 0 {
            break;
        }
        let mut sent = Vec::new();
        while sent.len() < size {
            sent.extend_from_slice(pattern::piece(position + sent.len(), size - sent.len()));
        }
        stream.write_all(&sent).unwrap();
        let mut got = vec![0; size];
        std::io::Read::read_exact(&mut stream, &mut got).unwrap();
        assert!(got == sent, "at {position}");
        position += size;
    }
}

#[test]
fn who_does_not_read_stops_the_server_and_misses_nothing() {
    const WRITTEN_BYTES: usize = 64 << 20;
    let authority = Authority::new("authority");
    let server = Backend::serving(|mut stream| {
        let _ = pattern::write(&mut stream, WRITTEN_BYTES);
    });
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    let mut last = 0;
    let mut still_for = 0;
    let mut look = || {
        let metrics = pen.control("metrics");
        let relayed =
            metrics.lines().find_map(|line| line.strip_prefix("pen_relayed_bytes_total{to=\"client\"} "));
        let relayed: usize = relayed.expect("the bytes relayed").parse().unwrap();
        still_for = if relayed == last && relayed > 0 { still_for + 1 } else { 0 };
        last = relayed;
        still_for
    };
    eventually("the server to be stopped", &mut look, |still_for| *still_for > 20);
    assert!(last < WRITTEN_BYTES / 2, "{last} bytes were taken for a client that does not read");
    assert!(rss_kib(pen.pid()) < 64 << 10, "pen keeps what nobody reads");
    assert_eq!(pattern::read_to_end(&mut client.stream), WRITTEN_BYTES);
}

#[test]
fn no_server_hears_of_a_client_before_its_handshake_is_over() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let silent = pen.connect();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    assert_eq!(client.line(), "A");
    assert_eq!(server.accepted(), 1);
    drop(silent);
}

#[test]
fn a_dead_server_is_passed_over_unseen() {
    let authority = Authority::new("authority");
    let (dead, alive) = (Backend::refusing("A"), Backend::named("B"));
    let pen = Pen::before([&alive, &dead]).certificate(&authority.sign(&["web.test"])).options("-r").start();
    let speaker = Speaker::trusting(&authority);
    for _ in 0..4 {
        let mut client = speaker.connect(pen.address, "web.test");
        client.send("at once\n"); // before the server is there
        assert_eq!((client.line(), client.line()), ("B".into(), "at once".into()));
    }
}

#[test]
fn sessions_are_taken_up_again() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    for version in BOTH_VERSIONS {
        let speaker = Speaker::with(&authority, None, &[version]);
        let visit = || {
            let mut client = speaker.connect(pen.address, "web.test");
            client.line(); // the ticket comes before it
            client.is_resumed()
        };
        assert_eq!([visit(), visit(), visit()], [false, true, true], "{version:?}");
    }
    let metrics = pen.control("metrics");
    assert!(metrics.contains("pen_tls_handshakes_total 6\n"), "{metrics}");
    assert!(metrics.contains("pen_tls_resumptions_total 4\n"), "{metrics}");
}

#[test]
fn a_certificate_of_the_client_is_asked_for_and_judged() {
    let authority = Authority::new("authority");
    let (staff, strangers) = (Authority::new("staff"), Authority::new("strangers"));
    let server = Backend::named("A");
    let start = || {
        Pen::before([&server])
            .certificate(&authority.sign(&["web.test"]))
            .file("staff.pem", &staff.pem)
            .options("-G staff.pem")
    };
    let gets_in = |pen: &Pen, own: Option<&Authority>| {
        let own = own.map(|authority| authority.sign(&["somebody"]));
        BOTH_VERSIONS.map(|version| {
            let speaker = Speaker::with(&authority, own.as_ref(), &[version]);
            let client = speaker.try_connect(pen.address, "web.test");
            // With TLS 1.3 the client is through before its certificate was looked at.
            client.is_ok_and(|mut client| std::io::Read::read(&mut client.stream, &mut [0]).is_ok())
        })
    };
    let required = start().options("-R").start();
    assert_eq!(gets_in(&required, Some(&staff)), [true, true]);
    assert_eq!(gets_in(&required, None), [false, false]);
    assert_eq!(gets_in(&required, Some(&strangers)), [false, false]);
    assert!(server.accepted() == 2, "the others reach no server");

    assert_eq!(required.control("ssl_client_certificate optional"), "optional\n");
    assert_eq!(gets_in(&required, None), [true, true]);
    assert_eq!(gets_in(&required, Some(&strangers)), [false, false]);
    assert_eq!(required.control("ssl_client_certificate off"), "off\n");
    assert_eq!(gets_in(&required, Some(&strangers)), [true, true], "nobody is asked");
}

#[test]
fn who_was_let_in_without_certificate_is_asked_when_terms_change() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .file("ca.pem", &authority.pem)
        .options("-G ca.pem")
        .start();
    for version in BOTH_VERSIONS {
        let speaker = Speaker::with(&authority, None, &[version]);
        assert_eq!(pen.control("ssl_client_certificate off"), "off\n");
        assert_eq!(speaker.connect(pen.address, "web.test").line(), "A");
        assert_eq!(pen.control("ssl_client_certificate required"), "required\n");
        let again = speaker.try_connect(pen.address, "web.test");
        let got_in = again.is_ok_and(|mut client| std::io::Read::read(&mut client.stream, &mut [0]).is_ok());
        assert!(!got_in, "a ticket is no certificate: {version:?}");
    }
}

#[test]
fn protocols_are_agreed_on() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .command("ssl_alpn h2,http/1.1")
        .start();
    let agreed = |protocols: &[&str]| {
        let client = Speaker::trusting(&authority).offering(protocols).try_connect(pen.address, "web.test");
        client.map(|client| client.stream.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["http/1.1", "h2"]).unwrap().as_deref(), Some(&b"h2"[..]));
    assert_eq!(agreed(&["http/1.1"]).unwrap().as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&[]).unwrap(), None);
    assert!(agreed(&["irc"]).is_err());
}

#[test]
fn servers_are_told_that_it_was_https() {
    let authority = Authority::new("authority");
    let server = Backend::serving(|stream| {
        let mut heard = Vec::new();
        while let Some(line) = read_line(&stream).filter(|line| line != "\r") {
            heard.push(line.trim_end().to_owned());
        }
        let _ = (&stream).write_all(format!("{}\n", heard.join("|")).as_bytes());
    });
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .options("-H")
        .command("ssl_alpn h2,http/1.1")
        .start();
    let ask = |speaker: Speaker| {
        let mut client = speaker.connect(pen.address, "web.test");
        client.send("GET / HTTP/1.1\r\n");
        client.send("Host: web.test\r\n\r\n");
        client.line()
    };
    let speaker = Speaker::trusting(&authority);
    let told = "GET / HTTP/1.1|Host: web.test|X-Forwarded-Proto: https|X-Forwarded-For: 127.0.0.1";
    assert_eq!(ask(speaker.clone()), told);
    assert_eq!(ask(speaker.clone().offering(&["http/1.1"])), told);
    assert_eq!(ask(speaker.offering(&["h2"])), "GET / HTTP/1.1|Host: web.test", "HTTP/2 is left alone");
}

#[test]
fn dummy_and_peek_work_over_tls() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    for (mode, expected) in [("dummy", "HTTP/1.1 200 OK\r"), ("peek", "A")] {
        let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).command(mode).start();
        let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.line(), expected, "{mode}");
        client.end();
        client.rest();
    }
}

#[test]
fn ready_connections_serve_clients_with_tls() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).command("idlers 3").start();
    eventually("idlers", || pen.control("idlers"), |reply| reply.contains("3/3"));
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    assert_eq!((client.line(), client.exchange("hello")), ("A".into(), "hello".into()));
    assert!(pen.control("metrics").contains("pen_idlers_used_total 1\n"));
}

#[test]
fn what_is_wrong_at_start_is_named_and_nothing_starts() {
    let authority = Authority::new("authority");
    let (pair, other) = (authority.sign(&["web.test"]), authority.sign(&["web.test"]));
    let start = || {
        Pen::before(["127.0.0.1:80"])
            .file("c.pem", &pair.certificate)
            .file("k.pem", &pair.key)
            .file("other.pem", &other.key)
            .file("text", "no certificate\n")
    };
    for (options, reason) in [
        ("-E missing.pem", "missing.pem: no such file or directory"),
        ("-E text", "text: want a certificate in PEM form"),
        ("-E c.pem", "c.pem: want a key in PEM form"),
        ("-E c.pem -K other.pem", "other.pem: the key is not that of the first certificate in c.pem"),
        ("-E c.pem -K .", ".: not a regular file"),
        ("-E c.pem -K k.pem -R -G text", "ssl_ca_file: text: want a certificate"),
        ("-E c.pem -K k.pem -R -A .", "ssl_ca_path: .: want certificates named by their hashes"),
        ("-E c.pem -K k.pem -O ssl_sni_path\u{a0}missing", "ssl_sni_path: missing: no such file"),
        (
            "-E c.pem -K k.pem -O ssl_ocsp_response\u{a0}text",
            "ssl_ocsp_response: text: want an OCSP response",
        ),
        ("-L foo", "protocol version \"foo\" not known"),
        ("-R", "ssl_client_certificate (-R): want ssl_certificate (-E) too"),
        ("-R -G c.pem", "ssl_client_certificate (-R): want ssl_certificate (-E) too"),
        ("-G c.pem", "ssl_ca_file (-G): want ssl_certificate (-E) too"),
        ("-A .", "ssl_ca_path (-A): want ssl_certificate (-E) too"),
        ("-K k.pem", "ssl_key (-K): want ssl_certificate (-E) too"),
        ("-O ssl_sni_path\u{a0}.", "ssl_sni_path: want ssl_certificate (-E) too"),
    ] {
        for check in ["", "--check"] {
            let words = options.split(' ').map(|word| word.replace('\u{a0}', " "));
            let ended = words.fold(start().options(check), |start, word| start.word(word)).run();
            assert_eq!(ended.code, Some(1), "{options}: {ended:?}");
            assert!(ended.stderr.contains(reason), "{options}: {ended:?}");
        }
    }
}

#[test]
fn who_is_to_show_a_certificate_is_never_served_without_tls() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let start = || {
        Pen::before([&server])
            .certificate(&authority.sign(&["web.test"]))
            .file("ca.pem", &authority.pem)
            .options("-G ca.pem")
    };
    let pen = start().options("-R").start();
    let refused = pen.control("no ssl_certificate");
    assert!(refused.starts_with("error: ssl_client_certificate (-R): want ssl_certificate"), "{refused}");
    assert!(
        Speaker::trusting(&authority).try_connect(pen.address, "web.test").is_err_and(|_| true)
            || server.accepted() == 0
    );
    assert_eq!(pen.control("ssl_client_certificate off"), "off\n");
    assert_eq!(pen.control("no ssl_certificate"), "");
    let refused = pen.control("ssl_client_certificate optional");
    assert!(refused.starts_with("error: ssl_client_certificate (-R): want ssl_certificate"), "{refused}");
    assert_eq!(pen.ask(), "A");
    let told = start().start().stderr();
    assert!(told.contains("no client is asked for a certificate"), "{told}");
}

#[test]
fn many_clients_at_once_on_both_sides_of_a_change() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let speaker = Speaker::trusting(&authority);
    thread::scope(|scope| {
        for number in 0..16 {
            let (speaker, pen) = (&speaker, &pen);
            scope.spawn(move || {
                for turn in 0..20 {
                    let mut client = speaker.connect(pen.address, "web.test");
                    let line = format!("{number} {turn}");
                    assert_eq!(client.exchange(&line), line);
                }
            });
        }
        for _ in 0..10 {
            assert_eq!(pen.control("ssl_certificate pen.pem"), "");
        }
    });
}
