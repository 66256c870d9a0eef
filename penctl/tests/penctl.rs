//! The program penctl against servers that answer as this pen and as an original Pen do.

use pen_sys::tempdir::TempDir;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

#[allow(dead_code, reason = "each test target uses its part")]
#[path = "../../tests/common/ports.rs"]
mod ports;
#[allow(dead_code, reason = "each test target uses its part")]
#[path = "../../tests/common/process.rs"]
mod process;
#[allow(dead_code, reason = "each test target uses its part")]
#[path = "../../tests/common/terminal.rs"]
mod terminal;
#[allow(dead_code, reason = "each test target uses its part")]
#[path = "../../tests/common/wait.rs"]
mod wait;

use terminal::Terminal;

/// Half understood they would name something else.
#[test]
fn words_that_are_no_text_are_named() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"/a\xff");
    let ended = Command::new(env!("CARGO_BIN_EXE_penctl")).arg(bad).arg("pid").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "penctl: \"/a\\xff\": not UTF-8\n");
    let mut cgi = Command::new(env!("CARGO_BIN_EXE_penctl-cgi"));
    for name in ["GATEWAY_INTERFACE", "REQUEST_METHOD", "QUERY_STRING", "PENCTL_CONTROL", "PENCTL_ALLOW"] {
        cgi.env(name, bad);
    }
    let ended = cgi.arg(bad).stdin(Stdio::null()).output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stdout.starts_with(b"Status: 4"), "{}", String::from_utf8_lossy(&ended.stdout));
}

const SERVERS: &str = r#"[{"index":0,"address":"10.0.0.1","port":80,"failed_at_epoch_seconds":0,"blacklisted_seconds":0,"connections":3,"max":0,"hard":0,"weight":0,"prio":0,"acl":0,"sent_bytes":2048,"received_bytes":0,"connections_total":3,"failures_total":0}]"#;
const SERVICES: &str = r#"[{"name":"main","kind":"tcp","connections":3,"servers":2,"listen":["0.0.0.0:80"]},{"name":"web","kind":"udp","connections":0,"servers":1,"listen":["[::]:53"]}]"#;
const BIG_BYTES: usize = 5 << 20;

/// How a fake pen behaves.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// As ours: sessions, framed answers.
    Ours,
    /// As ours, but every session ends after one command (and a header before it, but in the first), as if it had been silent for too long.
    Forgetful,
    /// As the original: one read, one command, one answer.
    Old,
    /// Closes without a word.
    Forbidding,
}

/// What a fake pen heard: a list of command lines for each connection.
type Heard = Arc<Mutex<Vec<Vec<String>>>>;

struct FakePen {
    address: String,
    heard: Heard,
    /// Says so when a connection was closed.
    closed: Receiver<()>,
}

impl FakePen {
    fn new(kind: Kind) -> FakePen {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap().to_string(), Heard::default());
        let ears = heard.clone();
        let (close, closed) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let kept_open = stream.try_clone().unwrap();
                serve(stream, kind, &ears);
                if kind == Kind::Forgetful {
                    await_end_to_arrive(&kept_open);
                }
                drop(kept_open);
                // The test may be over.
                let _ = close.send(());
            }
        });
        FakePen { address, heard, closed }
    }

    fn heard(&self) -> Vec<Vec<String>> {
        self.heard.lock().unwrap().clone()
    }
}

/// Ends the stream, and returns when the client's system knows: on a busy machine that takes a moment.
fn await_end_to_arrive(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    let port = stream.local_addr().unwrap().port();
    wait::eventually("the end to arrive", || process::delivered(port), |delivered| *delivered);
}

/// A client that hangs up early is its own business.
fn serve(stream: impl Read + Write, kind: Kind, heard: &Heard) {
    if kind == Kind::Forbidding {
        return;
    }
    heard.lock().unwrap().push(Vec::new());
    let hear = |line: &str| heard.lock().unwrap().last_mut().unwrap().push(line.to_string());
    let mut stream = BufReader::new(stream);
    let first = read_line(&mut stream);
    hear(&first);
    if kind == Kind::Old || first != "session" {
        let reply = match answer(&first) {
            Ok(text) => text,
            Err(_) if kind == Kind::Old => format!("do_cmd: ignoring command starting with '{first}'\n"),
            Err(text) => format!("error: {text}\n"),
        };
        let _ = stream.get_mut().write_all(reply.as_bytes());
        return;
    }
    let _ = stream.get_mut().write_all(b"ok 10\npen 0.1.0\n");
    loop {
        let line = read_line(&mut stream);
        if line.is_empty() {
            return;
        }
        hear(&line);
        let frame = match answer(&line) {
            Ok(text) => format!("ok {}\n{text}", text.len()),
            Err(text) => format!("error {}\n{text}\n", text.len() + 1),
        };
        let _ = stream.get_mut().write_all(frame.as_bytes());
        let is_header_again = line == "service web" && heard.lock().unwrap().len() > 1;
        if kind == Kind::Forgetful && !is_header_again {
            return;
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line.trim_end().to_string()
}

fn answer(command: &str) -> Result<String, String> {
    match command {
        "mode" => Ok("no hash\n".into()),
        "blacklist 30" => Ok("30\n".into()),
        "hash" => Ok(String::new()),
        "servers" => Ok("0 addr 10.0.0.1\n".into()),
        "servers json" => Ok(SERVERS.into()),
        "connections json" => Ok("[]\n".into()),
        "services json" => Ok(SERVICES.into()),
        "service web" => Ok(String::new()),
        "service web servers json" => Ok(SERVERS.replace("10.0.0.1", "10.0.7.7")),
        "escape" => Ok("a\x1b[2Jb\n".into()),
        "big" => Ok("x".repeat(BIG_BYTES)),
        _ => Err(format!("{command:?}: no such command")),
    }
}

fn penctl(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_penctl"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A penctl that reads no input closes it unread.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn assert_done(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let got = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(got, (Some(code), stdout.to_string(), stderr.to_string()));
}

#[test]
fn a_command_is_answered() {
    let pen = FakePen::new(Kind::Ours);
    assert_done(&penctl(&[&pen.address, "blacklist", "30"], ""), 0, "30\n", "");
    assert_done(&penctl(&[&pen.address, "hash"], ""), 0, "", "");
    assert_done(&penctl(&[&pen.address, "servers"], ""), 0, "0 addr 10.0.0.1\n", "");
    assert_eq!(pen.heard(), [["session", "blacklist 30"], ["session", "hash"], ["session", "servers"]]);
    let by_name = pen.address.replace("127.0.0.1", "localhost");
    assert_done(&penctl(&[&by_name, "mode"], ""), 0, "no hash\n", "");
}

#[test]
fn what_is_wrong_is_said_and_fails() {
    let pen = FakePen::new(Kind::Ours);
    assert_done(&penctl(&[&pen.address, "bogus"], ""), 1, "", "penctl: \"bogus\": no such command\n");
    let free = format!("127.0.0.1:{}", ports::free_port());
    let refused = format!("penctl: {free}: connection refused\n");
    assert_done(&penctl(&[&free, "mode"], ""), 1, "", &refused);
    assert_done(&penctl(&[&free], "mode\n"), 1, "", &refused);
    let missing = "/no/such/socket";
    assert_done(
        &penctl(&[missing, "mode"], ""),
        1,
        "",
        "penctl: /no/such/socket: no such file or directory\n",
    );
    for arguments in [&[][..], &["-x"], &["nowhere", "mode"]] {
        let output = penctl(arguments, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
    }
}

/// As `control_acl` does it. A setting that is answered by nothing must not look as if it had been made.
#[test]
fn being_turned_away_is_a_failure() {
    let pen = FakePen::new(Kind::Forbidding);
    for arguments in [&[pen.address.as_str(), "hash"][..], &["-e", "hash", "-e", "mode", &pen.address]] {
        let output = penctl(arguments, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&pen.address), "{output:?}");
    }
}

#[test]
fn several_commands_share_a_session_until_one_fails() {
    let pen = FakePen::new(Kind::Ours);
    let arguments = ["-e", "mode", "-e", "blacklist 30", &pen.address];
    assert_done(&penctl(&arguments, ""), 0, "no hash\n30\n", "");
    let arguments = ["-e", "mode", "-e", "bogus", "-e", "hash", &pen.address];
    assert_done(&penctl(&arguments, ""), 1, "no hash\n", "penctl: \"bogus\": no such command\n");
    assert_eq!(pen.heard(), [vec!["session", "mode", "blacklist 30"], vec!["session", "mode", "bogus"]]);
}

#[test]
fn commands_come_from_standard_input() {
    let pen = FakePen::new(Kind::Ours);
    assert_done(&penctl(&[&pen.address], "mode\n\n  blacklist 30\nquit\nhash\n"), 0, "no hash\n30\n", "");
    let failed = penctl(&[&pen.address], "mode\nbogus\nhash");
    assert_done(&failed, 1, "no hash\n", "penctl: line 2: \"bogus\": no such command\n");
    assert_eq!(pen.heard(), [vec!["session", "mode", "blacklist 30"], vec!["session", "mode", "bogus"]]);
}

#[test]
fn an_original_pen_is_served_too() {
    let pen = FakePen::new(Kind::Old);
    assert_done(&penctl(&[&pen.address, "mode"], ""), 0, "no hash\n", "");
    assert_done(&penctl(&["-e", "mode", "-e", "blacklist 30", &pen.address], ""), 0, "no hash\n30\n", "");
    assert_done(
        &penctl(&[&pen.address, "bogus"], ""),
        0,
        "do_cmd: ignoring command starting with 'bogus'\n",
        "",
    );
}

/// What becomes of a penctl that is given each line when pen has ended the session of the one before.
fn said_one_after_another(pen: &FakePen, lines: [&str; 2]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_penctl"))
        .arg(&pen.address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for line in lines {
        child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        pen.closed.recv_timeout(wait::PATIENCE).unwrap();
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_session_that_was_ended_is_opened_anew() {
    let pen = FakePen::new(Kind::Forgetful);
    assert_done(&said_one_after_another(&pen, ["mode\n", "blacklist 30\n"]), 0, "no hash\n30\n", "");
    assert_eq!(pen.heard(), [["session", "mode"], ["session", "blacklist 30"]]);
}

#[test]
fn large_answers_come_whole() {
    for kind in [Kind::Ours, Kind::Old] {
        let pen = FakePen::new(kind);
        for arguments in [&[pen.address.as_str(), "big"][..], &["-e", "big", "-e", "hash", &pen.address]] {
            let output = penctl(arguments, "");
            let bytes = output.stdout.iter().filter(|byte| **byte == b'x').count();
            assert_eq!(bytes, BIG_BYTES, "{arguments:?}");
        }
    }
}

#[test]
fn unix_sockets_are_spoken_to() {
    let directory = TempDir::new();
    let path = directory.join("ctl");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || serve(listener.accept().unwrap().0, Kind::Ours, &Heard::default()));
    assert_done(&penctl(&[path.to_str().unwrap(), "mode"], ""), 0, "no hash\n", "");
    server.join().unwrap();
}

#[test]
fn a_reader_that_goes_is_no_trouble() {
    let pen = FakePen::new(Kind::Ours);
    let mut child = Command::new(env!("CARGO_BIN_EXE_penctl"))
        .args([&pen.address, "big"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_done(&child.wait_with_output().unwrap(), 0, "", "");
}

#[test]
fn a_terminal_gets_tables_and_no_escapes() {
    let pen = FakePen::new(Kind::Ours);
    let mut terminal = on_terminal(&[&pen.address, "servers"], None);
    let text = terminal.until("2.0 KiB");
    assert!(text.contains("SERVER  ADDRESS") && text.contains("\x1b[1m"), "{text:?}");
    assert!(terminal.child.wait().unwrap().success());
    let mut terminal = on_terminal(&[&pen.address, "escape"], None);
    let text = terminal.until("b\r\n");
    assert_eq!(text, "a\\x1b[2Jb\r\n");
}

#[test]
fn the_shell_completes_hints_and_remembers() {
    let pen = FakePen::new(Kind::Ours);
    let directory = TempDir::new();
    let mut terminal = on_terminal(&[&pen.address], Some(directory.path()));
    terminal.until("quit leaves");
    terminal.until("> ");
    terminal.write("blackl\t30\r");
    terminal.until("\r\n30\r\n");
    terminal.write("server 0\t");
    terminal.until("server 0 ");
    terminal.write("\x15servers\r");
    terminal.until("10.0.0.1:80");
    terminal.write("help blacklist\r");
    terminal.until("default");
    terminal.write("bogus\r");
    terminal.until("no such command");
    terminal.write("exit\r");
    terminal.until("[y/N] ");
    terminal.write("\r");
    terminal.until("> ");
    terminal.write("quit\r");
    assert!(terminal.child.wait().unwrap().success());
    let history = directory.join(".penctl_history");
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    let history = fs::read_to_string(history).unwrap();
    assert!(history.contains("blacklist 30\n") && history.contains("servers\n"), "{history}");
    assert_eq!(pen.heard().len(), 1, "one session for all: {:?}", pen.heard());
    assert!(!pen.heard()[0].contains(&"exit".to_string()));
}

#[test]
fn the_shell_knows_services() {
    let pen = FakePen::new(Kind::Ours);
    let mut terminal = on_terminal(&[&pen.address], None);
    terminal.until("quit leaves");
    terminal.until("> ");
    terminal.write("services\r");
    terminal.until("web      udp      0        1  [::]:53");
    terminal.write("service w\tservers\r");
    terminal.until("service web ");
    terminal.until("10.0.7.7:80");
    terminal.write("service web\r");
    terminal.until(&format!("{} web> ", pen.address));
    terminal.write("service nope\r");
    terminal.until("no such command");
    terminal.until(" web> ");
    terminal.write("quit\r");
    assert!(terminal.child.wait().unwrap().success());
}

#[test]
fn a_session_that_is_opened_anew_is_for_the_same_service() {
    let pen = FakePen::new(Kind::Forgetful);
    assert_done(&said_one_after_another(&pen, ["service web\n", "mode\n"]), 0, "no hash\n", "");
    assert_eq!(pen.heard(), [&["session", "service web"][..], &["session", "service web", "mode"]]);
}

/// A penctl on a terminal of its own.
fn on_terminal(arguments: &[&str], home: Option<&Path>) -> Terminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penctl"));
    command.args(arguments);
    if let Some(home) = home {
        command.env("HOME", home);
    }
    Terminal::start(command, (200, 40))
}
