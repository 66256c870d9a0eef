//! webstats as a web server of its own.

mod common;

use common::wait::eventually;
use common::{NOW, TempDir, json, play_pen, status, webstats};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStderr, Stdio};

struct Live {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Live {
    fn start(dir: &TempDir, words: &str) -> Live {
        let mut child = webstats(dir)
            .args(["--listen", "127.0.0.1:0"])
            .args(words.split_whitespace())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut live = Live { child, address: String::new(), stderr };
        live.address = loop {
            let line = live.complaint();
            assert!(!line.is_empty(), "it ended");
            if let Some(url) = line.strip_prefix("webstats: serving http://") {
                break url.trim_end_matches('/').to_string();
            }
        };
        live
    }

    /// The next line on standard error.
    fn complaint(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn page_and_figures_follow_the_pen() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW)), json(&status(NOW + 3600))]);
    let live = Live::start(&dir, "--control web=./ctl -r 1");
    let page = live.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>\n"), "{page}");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
    for part in ["<h1>web</h1>", "<meta http-equiv=\"refresh\" content=\"1\">", "<a href=\"status.json\">"] {
        assert!(body.contains(part), "{part}");
    }
    let figures = || {
        let answer = live.get("/status.json");
        serde_json::from_str::<serde_json::Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let newer = eventually("a second round", figures, |figures| {
        figures["pens"][0]["status"]["time_epoch_seconds"] == NOW + 3600
    });
    assert_eq!(newer["pens"][0]["name"], "web");
    assert!(newer["pens"][0]["trouble"].is_null());
    assert_eq!(newer["pens"][0]["status"]["servers"][1]["blacklisted_seconds"], 30);
    assert!(live.get("/").contains("The last 1 h"));
}

#[test]
fn metrics_and_health_of_all_pens_are_served() {
    let dir = TempDir::new();
    let broken = pen_proto::status::Status { servers: Vec::new(), ..status(NOW) };
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    play_pen(&dir.path().join("broken"), vec![json(&broken)]);
    let live = Live::start(&dir, "-c web=./ctl -c mail=./broken -c gone=./nowhere -r 1");
    let page = live.get("/metrics");
    assert!(page.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{page}");
    for line in [
        "pen_up{pen=\"web\"} 1",
        "pen_up{pen=\"gone\"} 0",
        "pen_connections_max{pen=\"mail\"} 500",
        "pen_server_up{pen=\"web\",server=\"1\",address=\"10.0.0.1:8001\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(live.get("/healthz").ends_with("\r\n\r\nok\n"));
    let ready = live.get("/readyz");
    let told = "mail: No server is configured\ngone: pen does not answer\n";
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with(&format!("\r\n\r\n{told}")), "{ready}");
}

#[test]
fn only_these_documents_are_served_and_only_to_readers() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let live = Live::start(&dir, "-c ./ctl");
    for (request, wanted) in [
        ("GET /../etc/passwd HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"),
        ("POST / HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 Misdirected Request\r\n"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"),
        (&"x".repeat(8192), "HTTP/1.1 431 Request Header Fields Too Large\r\n"),
    ] {
        let answer = live.ask(request);
        assert!(answer.starts_with(wanted), "{request:.40?}: {answer}");
        assert!(!answer.contains("evil"));
    }
    let head = live.ask("HEAD / HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
}

#[test]
fn those_who_say_nothing_hold_up_nobody() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let live = Live::start(&dir, "-c ./ctl");
    let mut silent: Vec<TcpStream> = (0..200).map(|_| live.connect()).collect();
    for stream in &mut silent {
        // Those that were pushed out already do not matter.
        let _ = stream.write_all(b"GET / HTT");
    }
    assert!(live.get("/").starts_with("HTTP/1.1 200 OK\r\n"));
    let closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut [0; 16]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    eventually(
        "the first ones to be pushed out",
        || silent.iter_mut().map(closed).filter(|closed| *closed).count(),
        |count| *count >= 200 - 64,
    );
}

#[test]
fn a_pen_that_goes_and_comes_is_told_once() {
    let dir = TempDir::new();
    play_pen(
        &dir.path().join("ctl"),
        vec![json(&status(NOW)), String::new(), String::new(), json(&status(NOW + 60))],
    );
    let mut live = Live::start(&dir, "-c ./ctl -r 1");
    assert_eq!(live.complaint(), "webstats: ./ctl: pen turned the question away (control_acl?)");
    assert_eq!(live.complaint(), "webstats: all is well again");
}

#[test]
fn a_pen_that_hangs_is_shown_beside_the_others() {
    let dir = TempDir::new();
    let silent = UnixListener::bind(dir.path().join("silent")).unwrap();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let live = Live::start(&dir, "-c a=./ctl -c b=./silent -t 1 -r 1");
    let page = live.get("/");
    for part in [
        "<title>b: pen does not answer</title>",
        "./silent: pen did not answer in time",
        "1 of 2 servers is skipped",
    ] {
        assert!(page.contains(part), "{part}");
    }
    drop(silent);
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let live = Live::start(&dir, "-c ./ctl");
    let second = webstats(&dir).args(["-c", "./ctl", "--listen", &live.address]).output().unwrap();
    let complaint = common::stderr(&second);
    assert!(
        complaint.starts_with(&format!("webstats: --listen {}: Address already in use", live.address)),
        "{complaint}"
    );
    assert_eq!(second.status.code(), Some(1));
}
