//! The real program with pens that are played: by a thread that answers on a control socket, by pages in files.
#![allow(dead_code, reason = "each test target uses its part")]

#[path = "../../../tests/common/skip.rs"]
pub mod skip;
#[path = "../../../tests/common/wait.rs"]
pub mod wait;

use pen_proto::status::{ClientStatus, ServerStatus, Status};
pub use pen_sys::tempdir::TempDir;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

/// webstats, without a web server's environment.
pub fn webstats(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webstats"));
    command.env_remove("GATEWAY_INTERFACE").current_dir(dir.path());
    command
}

/// Runs it with these words.
pub fn run(dir: &TempDir, words: &str) -> Output {
    webstats(dir).args(words.split_whitespace()).output().unwrap()
}

/// # Panics
/// When it failed or complained.
pub fn run_well(dir: &TempDir, words: &str) {
    let output = run(dir, words);
    assert!(output.status.success() && output.stderr.is_empty(), "{words}: {}", stderr(&output));
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Two servers, one of them blacklisted; a client.
pub fn status(time_epoch_seconds: u64) -> Status {
    let server = |index, blacklisted_seconds| ServerStatus {
        index,
        address: "10.0.0.1".into(),
        port: 8000 + index as u16,
        blacklisted_seconds,
        connections_total: time_epoch_seconds % 10_000,
        ..Default::default()
    };
    Status {
        version: "0.1.0".into(),
        time_local: "2026-11-21 02:23:26".into(),
        time_epoch_seconds,
        uptime_seconds: 90_000,
        listen: vec!["127.0.0.1:80".into()],
        servers: vec![server(0, 0), server(1, 30)],
        clients: vec![ClientStatus { address: "192.0.2.7".into(), connects: 3, ..Default::default() }],
        clients_max: 2048,
        connections_max: 500,
        ..Default::default()
    }
}

pub const NOW: u64 = 1_795_224_206;

/// A control socket that answers every line with the next reply, and goes on with the last one. An empty reply hangs
/// up.
pub fn play_pen(path: &Path, replies: Vec<String>) {
    let listener = UnixListener::bind(path).unwrap();
    // The thread waits for questions until the test process ends.
    thread::spawn(move || {
        let mut replies = replies.into_iter().peekable();
        let mut reply = String::new();
        for stream in listener.incoming().flatten() {
            let mut question = String::new();
            BufReader::new(&stream).read_line(&mut question).unwrap();
            assert_eq!(question, "status json\n");
            reply = replies.next().unwrap_or(reply);
            // Whoever asked may have lost patience.
            let _ = (&stream).write_all(reply.as_bytes());
        }
    });
}

pub fn json(status: &Status) -> String {
    pen_core::stats::json::render(status)
}
