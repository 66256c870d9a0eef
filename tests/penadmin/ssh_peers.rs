//! The door for terminals before peers that mean ill or are not what they seem, and sshd in its place.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::{all_installed, find, ours, write_script};
use crate::common::root;
use crate::common::skip::skip;
use crate::common::tempdir::TempDir;
use crate::common::terminal::Terminal;
use crate::common::wait::{eventually, received};
use crate::desk::control;
use crate::ssh::{Door, NEEDED, assert_said};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long a peer may take that must end a connection.
const END: Duration = Duration::from_secs(20);

/// A control socket that is no pen's: it answers every line with this text, or never. Its address, and the lines.
fn no_pen(directory: &TempDir, name: &str, answer: Option<&'static str>) -> (String, Receiver<String>) {
    let path = directory.path().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for mut client in listener.incoming().flatten() {
            let mut line = String::new();
            let read = BufReader::new(client.try_clone().unwrap()).read_line(&mut line);
            // A test that has ended wants neither.
            let _ = read.map(|_| sender.send(line.trim_end().to_owned()));
            match answer {
                Some(answer) => _ = client.write_all(answer.as_bytes()),
                None => silent.push(client),
            }
        }
    });
    (format!("{name}={}", path.display()), lines)
}

#[test]
fn what_answers_for_a_pen_does_not_steer_the_terminal() {
    if !all_installed(&NEEDED) {
        return;
    }
    let sockets = TempDir::new();
    let (plain, _) = no_pen(&sockets, "plain", Some("a\x1b]0;evil\x07b\u{9b}31m\n"));
    let (wrong, _) = no_pen(&sockets, "wrong", Some("error: a\x1b]0;evil\x07\n"));
    let (table, _) =
        no_pen(&sockets, "table", Some("[{\"address\":\"\\u001b]0;evil\\u0007\",\"index\":0}]\n"));
    let door = Door::before(&[&plain, &wrong, &table]);
    for (words, status) in [("plain: servers", 0), ("wrong: servers", 1), ("table: servers json", 0)] {
        let output = door.says("rob", &[words]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains("evil") && !text.contains(['\x1b', '\x07', '\u{9b}']), "{text:?}");
    }
    let mut client = door.client("rob", "rob");
    client.arg("-tt");
    let mut shell = Terminal::start(client, (100, 30));
    shell.until("pens: plain wrong table");
    for name in ["plain", "wrong", "table"] {
        shell.write(&format!("{name}: servers\r"));
        // The first is what was typed.
        shell.until("servers");
        let shown = shell.until("evil");
        assert!(!shown.contains("\x1b]0;"), "{name}: {shown:?}");
    }
}

#[test]
fn who_sends_garbage_or_dawdles_or_leaves_harms_nobody() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let sockets = TempDir::new();
    let (slow, lines) = no_pen(&sockets, "slow", None);
    let door = Door::before(&[&format!("shop={}", control(&pen)), &slow]);
    let connect = || TcpStream::connect(format!("127.0.0.1:{}", door.port)).unwrap();
    let held: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(b"SSH-2.0-slow").unwrap();
            stream
        })
        .collect();
    // A packet of four GiB is not waited for, nor one that makes no sense.
    for bytes in
        [&[0xff; 64][..], &[0; 64], b"\x00\x00\x00\x0c\x0a\x63\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"]
    {
        let mut stream = connect();
        stream.set_read_timeout(Some(END)).unwrap();
        stream.write_all(&[b"SSH-2.0-x\r\n", bytes].concat()).unwrap();
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{bytes:?}"),
        }
    }
    let mut garbage = connect();
    // It may be cut while it still sends.
    let _ = garbage.write_all(&vec![b'x'; 1 << 20]);
    assert_said(&door.says("rob", &["shop: pid"]), 0, &pen.control("pid"), "");
    // Some leave while their command is carried out. Before them penadmin itself has asked, to watch that pen.
    received(&lines);
    for _ in 0..3 {
        let mut client = door.client("rob", "rob").arg("slow: servers").spawn().unwrap();
        assert_eq!(received(&lines), "session");
        client.kill().unwrap();
        client.wait().unwrap();
    }
    assert_said(&door.says("rob", &["shop: pid"]), 0, &pen.control("pid"), "");
    drop(held);
}

/// sshd; ended when dropped.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The block of the page that begins so.
fn block(page: &str, beginning: &str) -> String {
    let mut blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.find(|(_, text)| text.starts_with(beginning)).unwrap().1.to_owned()
}

#[test]
fn the_recipe_with_sshd_lets_people_command_pen_and_nothing_else() {
    if !all_installed(&[&NEEDED[..], &[("sshd", "openssh-server")]].concat()) {
        return;
    }
    if !root() {
        return skip("sshd lets in nobody but its own user without root");
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["host", "key"] {
        let made =
            Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f", &path(name)]).status();
        assert!(made.unwrap().success());
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/penadmin.md")).unwrap();
    let shell = block(&page, "#!/bin/sh\nif [ -n \"$SSH_ORIGINAL_COMMAND\"")
        .replace("penctl", &ours("penctl").display().to_string())
        .replace("/run/pen/control", &control(&pen));
    write_script(path("pen-shell"), &shell);
    let recipe = block(&page, "Match Group penadmins")
        .replace("Group penadmins", "Group root")
        .replace("/usr/local/bin/pen-shell", &path("pen-shell"));
    let port = free_port();
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {}\nPermitRootLogin prohibit-password\n{recipe}",
        path("host"),
        path("key.pub")
    );
    dir.file("config", &config);
    let log = fs::File::create(path("log")).unwrap();
    // It wants a directory that only its package makes.
    let script = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$0\" \"$@\"";
    let mut sshd = Command::new("unshare");
    sshd.args(["--mount", "sh", "-c", script]).arg(find("sshd").unwrap()).args([
        "-D",
        "-e",
        "-f",
        &path("config"),
    ]);
    let _sshd = Sshd(sshd.stderr(log).spawn().unwrap());
    let said = || fs::read_to_string(path("log")).unwrap();
    eventually("sshd listens", said, |text| text.contains("Server listening on 127.0.0.1"));

    let ask = |options: &[&str], words: &[&str], input: &str| -> Output {
        let mut client = Command::new("ssh");
        client.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        client.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]);
        client
            .args(["-p", &port.to_string(), "-i", &path("key")])
            .args(options)
            .arg("root@127.0.0.1")
            .args(words);
        client
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = client.spawn().unwrap();
        // A client that is refused reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    assert_said(&ask(&[], &["blacklist", "17"], ""), 0, "17\n", "");
    assert_eq!(pen.control("blacklist"), "17\n");
    assert_said(&ask(&["-T"], &[], "blacklist 18\nblacklist\n"), 0, "18\n18\n", "");
    // What a shell would do with it is not done.
    let mark = path("mark");
    let sly = ask(&[], &[&format!("blacklist; touch {mark}")], "");
    assert!(!sly.status.success() && !Path::new(&mark).exists(), "{sly:?}");
    let sftp = ask(&["-s"], &["sftp"], "");
    assert!(!sftp.status.success(), "{sftp:?}");
    // sshd itself would answer there.
    let forward = ask(&["-W", &format!("127.0.0.1:{port}")], &[], "");
    assert!(!forward.status.success() && forward.stdout.is_empty(), "{forward:?}");
}
