//! http and https of one site: two services that share a client table and agree about each client.

use crate::certificates::Authority;
use crate::common::backend::Backend;
use crate::common::client::read;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::{all_installed, run};
use std::io::Write;

const NAMES: [&str; 3] = ["A", "B", "C"];

/// A web server that answers every request with its name.
fn named(name: &'static str) -> Backend {
    Backend::serving(move |mut stream| {
        let _ = read(&mut stream, &mut [0; 4096]);
        let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
    })
}

struct Site {
    pen: Pen,
    https_port: u16,
}

impl Site {
    /// The name of the server that curl reaches from this address.
    fn fetch(&self, source: &str, is_secure: bool) -> String {
        let ca = self.pen.path("ca.pem").display().to_string();
        let (scheme, port) =
            if is_secure { ("https", self.https_port) } else { ("http", self.pen.address.port()) };
        let url = format!("{scheme}://web.test:{port}/");
        let resolve = format!("web.test:{port}:127.0.0.1");
        let words =
            ["-sS", "--max-time", "20", "--interface", source, "--cacert", &ca, "--resolve", &resolve, &url];
        let ended = run("curl", &words, "");
        assert_eq!(ended.code, Some(0), "{source} {url}: {ended:?}");
        ended.stdout
    }

    /// What both give, which must be the same, whichever is asked first.
    fn agreed(&self, source: &str, secure_first: bool) -> String {
        let first = self.fetch(source, secure_first);
        assert_eq!(self.fetch(source, !secure_first), first, "{source} at the other port");
        assert_eq!(self.fetch(source, secure_first), first, "{source} again");
        first
    }
}

fn site(servers: &[Backend]) -> Site {
    let authority = Authority::new("authority");
    let https_port = free_port();
    let mut lines =
        format!("service https\nlisten 127.0.0.1:{https_port}\nssl_certificate pen.pem\nclients_from main\n");
    // In the other order: they agree by name.
    for (name, server) in NAMES.iter().zip(servers).rev() {
        lines += &format!("server add {name}=127.0.0.1:{}\n", server.port());
    }
    let named = NAMES.iter().zip(servers).map(|(name, server)| format!("{name}={server}"));
    let start = Pen::before(named).file("pen.pem", &authority.sign(&["web.test"]).together());
    let pen = start.file("ca.pem", &authority.pem).config(&lines).start();
    Site { pen, https_port }
}

const CLIENTS: [&str; 6] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"];

#[test]
fn a_client_has_one_server_for_http_and_https_also_when_that_is_gone() {
    if !all_installed(&[("curl", "curl")]) {
        return;
    }
    let servers = NAMES.map(named);
    let site = site(&servers);
    let before: Vec<String> =
        CLIENTS.iter().enumerate().map(|(turn, client)| site.agreed(client, turn % 2 == 0)).collect();
    let mut names = before.clone();
    names.sort();
    names.dedup();
    assert_eq!(names, NAMES, "clients are spread over the servers");
    let expect_moved_from = |gone: &str, before: &[String]| -> Vec<String> {
        let moved = CLIENTS.iter().zip(before).enumerate().map(|(turn, (client, before))| {
            let after = site.agreed(client, turn % 2 == 1);
            match before == gone {
                true => assert_ne!(after, *before, "{client}"),
                false => assert_eq!(after, *before, "{client} stays"),
            }
            after
        });
        moved.collect()
    };
    let gone = NAMES.iter().position(|name| *name == before[0]).unwrap();
    servers[gone].pause();
    let after = expect_moved_from(NAMES[gone], &before);
    let draining = after[0].clone();
    for service in ["main", "https"] {
        assert_eq!(site.pen.control(&format!("service {service} server {draining} drain")), "");
    }
    let last = expect_moved_from(&draining, &after);
    assert!(last.iter().all(|name| *name == last[0]), "{last:?}");
    let clients = |line: &str| site.pen.control(line).lines().count();
    assert_eq!((clients("clients"), clients("service https clients")), (CLIENTS.len(), CLIENTS.len()));
}

#[test]
fn who_shares_a_table_in_vain_is_told() {
    let servers = ["A"].map(named);
    let site = site(&servers);
    for (line, word) in [
        ("service https clients_from nosuch", "nosuch"),
        ("clients_from https", "https"),
        ("service remove main", "https"),
    ] {
        let reply = site.pen.control(line);
        assert!(reply.starts_with("error: ") && reply.contains(word), "{line}: {reply}");
    }
    assert_eq!(site.pen.control("service https clients_from"), "main\n");
    assert_eq!(site.pen.control("service https no clients_from"), "");
    assert_eq!(site.fetch("127.0.0.1", true), "A", "with a table of its own from now on");
    assert_eq!(site.pen.control("service https clients").lines().count(), 1);
}
