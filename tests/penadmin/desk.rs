//! A penadmin that runs, and a client that talks HTTP to it.

use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::programs::ours;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Of both users; `anna` has access full, `rob` readonly.
pub const PASSWORD: &str = "open sesame";

/// A running penadmin; killed when dropped.
pub struct Desk {
    pub address: SocketAddr,
    child: Child,
    pub dir: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Somebody who has logged in.
pub struct Login {
    pub cookie: String,
    pub csrf: String,
}

/// Control sockets of pens that run.
pub fn control(pen: &Pen) -> String {
    pen.path("control").display().to_string()
}

pub fn add_user(file: &std::path::Path, words: &[&str]) {
    let mut command = Command::new(ours("penadmin"));
    let mut child = command.arg("user").arg(file).args(words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

impl Desk {
    pub fn before(pens: &[&str]) -> Desk {
        Desk::with(&[], pens)
    }

    pub fn with(options: &[&str], pens: &[&str]) -> Desk {
        let dir = TempDir::new();
        let users = dir.path().join("users");
        add_user(&users, &["anna", "full"]);
        add_user(&users, &["rob", "readonly"]);
        let said = File::create(dir.path().join("stderr")).unwrap();
        let child = Command::new(ours("penadmin"))
            .args(["--listen", "127.0.0.1:0", "--users"])
            .arg(&users)
            .arg("--audit")
            .arg(dir.path().join("audit"))
            .args(options)
            .args(pens)
            .stderr(said)
            .spawn()
            .unwrap();
        let said = dir.path().join("stderr");
        let listening = |text: &String| text.contains("listening at ") && text.ends_with('\n');
        let text = eventually("penadmin listens", || fs::read_to_string(&said).unwrap(), listening);
        let url = text.split("listening at ").nth(1).unwrap().split_whitespace().next().unwrap();
        let address = url.trim_end_matches('/').split("://").nth(1).unwrap().parse().unwrap();
        Desk { address, child, dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Sends a request with these header lines and returns the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        self.send_from("127.0.0.1", method, path, headers, body)
    }

    fn send_from(&self, source: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = Client::connect_from(source, self.address).stream;
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Content-Length:")) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.into() }
    }

    pub fn try_login(&self, name: &str, password: &str) -> Answer {
        self.try_login_from("127.0.0.1", name, password)
    }

    pub fn try_login_from(&self, source: &str, name: &str, password: &str) -> Answer {
        let body = json!({"name": name, "password": password}).to_string();
        self.send_from(source, "POST", "/api/login", &["Content-Type: application/json"], &body)
    }

    pub fn login(&self, name: &str) -> Login {
        let answer = self.try_login(name, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.head.split("set-cookie: ").nth(1).unwrap();
        let cookie = cookie.split(';').next().unwrap().to_string();
        let csrf = answer.json()["csrf"].as_str().unwrap().to_string();
        Login { cookie, csrf }
    }

    pub fn get(&self, login: &Login, path: &str) -> Answer {
        self.send("GET", path, &[&format!("Cookie: {}", login.cookie)], "")
    }

    pub fn post(&self, login: &Login, path: &str, body: &Value) -> Answer {
        let (cookie, token) = (format!("Cookie: {}", login.cookie), format!("X-CSRF-Token: {}", login.csrf));
        self.send("POST", path, &[&cookie, &token, "Content-Type: application/json"], &body.to_string())
    }

    pub fn command(&self, login: &Login, line: &str) -> Answer {
        self.post(login, "/api/command", &json!({ "line": line }))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text of an error.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_string()
    }
}
