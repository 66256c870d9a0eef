//! `pen --as glbd` and a link named `glbd`: GLB's command line, and what its users see of it.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::write_script;
use crate::common::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pen_sys::tempdir::TempDir;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

const PEN: &str = env!("CARGO_BIN_EXE_pen");

/// A daemon in GLB's place, in the foreground.
struct Glbd {
    child: Child,
    listen: u16,
    control: u16,
    directory: TempDir,
}

impl Glbd {
    fn start(options: &[&str], destinations: &[String]) -> Glbd {
        let directory = TempDir::new();
        let (listen, control) = (free_port(), free_port());
        let link = directory.path().join("glbd");
        symlink(PEN, &link).unwrap();
        let mut command = Command::new(link);
        command.args(options).arg("--fifo").arg(directory.path().join("fifo"));
        command.args(["-c", &control.to_string(), &format!("127.0.0.1:{listen}")]).args(destinations);
        command.stdout(fs::File::create(directory.path().join("out")).unwrap());
        command.stderr(fs::File::create(directory.path().join("err")).unwrap());
        let child = command.spawn().unwrap();
        let glbd = Glbd { child, listen, control, directory };
        eventually(
            "glbd to answer",
            || TcpStream::connect((Ipv4Addr::LOCALHOST, glbd.control)).is_ok(),
            |is_there| *is_there,
        );
        glbd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn says(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn connect(&self) -> Client {
        Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.listen)))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn ends(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(!self.path("fifo").exists());
        status.code()
    }
}

impl Drop for Glbd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(words: &[&str]) -> Output {
    Command::new(PEN).args(["--as", "glbd"]).args(words).output().unwrap()
}

#[test]
fn a_link_named_glbd_serves_as_glbd_does() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let glbd = Glbd::start(&["-t", "0"], &[format!("{a}:2,{b}")]);
    let mut held: Vec<Client> = (0..3).map(|_| glbd.connect()).collect();
    let mut names: Vec<String> = held.iter_mut().map(Client::line).collect();
    names.sort();
    assert_eq!(names, ["A", "A", "B"], "least connected, by weight");
    let table = glbd.says("getinfo\n");
    let row = format!("      127.0.0.1:{:<5} :    2.000   0.667    N/A      2\n", a.port());
    assert!(table.contains(&row) && table.contains("\nDestinations: 2, total connections: 3 of "), "{table}");
    let banner = glbd.text("out");
    assert!(banner.contains(&format!("\nIncoming address: 127.0.0.1:{}, control FIFO: ", glbd.listen)));
    assert!(banner.contains("\nNumber of threads: 1, max conn: "), "{banner}");
    assert!(banner.ends_with(&format!("   1:       127.0.0.1:{:<5}, w: 1.000\n", b.port())), "{banner}");
    fs::write(glbd.path("fifo"), format!("{b}:0\n")).unwrap();
    eventually("the FIFO to be heard", || glbd.says("getinfo"), |table| table.contains(" 0.000   0.500 "));
    glbd.signal(Signal::SIGUSR1);
    assert_eq!(glbd.connect().line(), "A", "USR1 prints statistics and ends nothing");
    assert_eq!(glbd.text("out"), banner, "tables only with -v");
    assert_eq!(glbd.ends(), Some(0));
}

#[test]
fn destinations_may_come_later_and_a_reply_after_the_clients_end_arrives() {
    let late = Backend::replying_after_eof(3);
    let glbd = Glbd::start(&["-b", "-Y"], &[]);
    assert_eq!(glbd.connect().try_line(), None);
    assert_eq!(glbd.says(&late.address().to_string()), "Ok\n");
    let mut client = glbd.connect();
    client.send("question");
    client.end();
    assert_eq!(client.rest().len(), 3);
    assert_eq!(
        glbd.text("err").lines().next(),
        Some("glbd: -Y has no effect: a slow connect holds up nobody")
    );
}

#[test]
fn a_destination_is_polled_once_more_before_a_client_gets_it() {
    let a = Backend::named("A");
    let directory = TempDir::new();
    let program = directory.path().join("once.sh");
    write_script(&program, "#!/bin/sh\nstate=3\nwhile read -r word; do echo $state; state=0; done\n");
    let watchdog = format!("exec:{}", program.display());
    let glbd = Glbd::start(&["-w", &watchdog, "-i", "3600", "-x", "0.001"], &[a.to_string()]);
    eventually("a client that gets nobody", || glbd.connect().try_line(), Option::is_none);
    assert!(a.accepted() <= 1, "only the first poll was good");
}

#[test]
fn help_version_and_errors_are_glbs_own() {
    let help = run(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.starts_with("Usage: glbd [OPTIONS] LISTEN_ADDRESS"));
    assert!(String::from_utf8(run(&["-V"]).stdout).unwrap().starts_with("glb v1.0.2 (pen "));
    for (words, reason) in [
        (&[][..], "glbd: Missing required argument: LISTEN_ADDR.\n"),
        (&["-Z", "1"], "glbd: option \"-Z\" is unknown\n"),
        (&["-t", "x", "1"], "glbd: Bad n_threads value: \"x\"\n"),
        (&["1", "a:b"], "glbd: \"a:b\": port: want 0..65535, got \"b\"\n"),
        (&["-w", "foo", "1"], "glbd: 'foo' watchdog not implemented.\n"),
        (
            &["-w", "exec:no-such-program-at-all", "1"],
            "glbd: no-such-program-at-all: there is no such program\n",
        ),
    ] {
        let output = run(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(reason) && said.contains("Usage: glbd"), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
    let misplaced = Command::new(PEN).args(["-f", "--as", "glbd", "1"]).output().unwrap();
    assert!(
        String::from_utf8(misplaced.stderr)
            .unwrap()
            .contains("--as: want --as glbd or --as octopuslb-server, before everything else")
    );
}

#[test]
fn a_file_of_variables_becomes_a_configuration_that_pen_takes() {
    let directory = TempDir::new();
    let (port, server) = (free_port(), Backend::named("A"));
    let fifo = directory.path().join("fifo");
    let variables = format!(
        "LISTEN_ADDR=127.0.0.1:{port}\nCONTROL_FIFO={}\nTHREADS=1\nDEFAULT_TARGETS=\"{server}:2\"\n\
         OTHER_OPTIONS=\"--random -D\"\n",
        fifo.display()
    );
    let file = directory.file("glbd.cfg", &variables);
    let imported = Command::new(PEN).arg("--import").arg(&file).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    assert!(String::from_utf8(imported.stderr).unwrap().ends_with("-D has no effect without -w\n"));
    let configuration = directory.file("pen.conf", &String::from_utf8(imported.stdout).unwrap());
    let checked = Command::new(PEN).args(["--check", "-F"]).arg(&configuration).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let other = directory.file("other", "nothing of GLB\n");
    let refused = Command::new(PEN).arg("--import").arg(other).output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("GLB's file of variables"));
}

#[test]
fn a_client_that_says_nothing_is_not_taken_when_accepting_is_deferred() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).options("-O defer_accept").start();
    let _silent = pen.connect();
    let mut client = pen.connect();
    assert_eq!((client.exchange("first"), client.line()), ("A".into(), "first".into()));
    assert_eq!(a.accepted(), 1, "the silent one came first");
    pen.control("no defer_accept");
    assert_eq!(pen.ask(), "A");
}

/// Sockets in TIME_WAIT whose peer had this port.
fn waiting_for(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let peer = format!(":{port:04X}");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&peer) && row[3] == "06").count()
}

#[test]
fn a_reset_at_the_end_leaves_nothing_waiting() {
    for (line, left) in [("no reset_on_close", 1), ("reset_on_close", 0)] {
        let a = Backend::named("A");
        let pen = Pen::before([&a]).command(line).command("tcp_fastclose both").start();
        let mut client = pen.connect();
        assert_eq!(client.line(), "A");
        // pen is the first to end the connection to the server.
        client.end();
        assert_eq!(client.try_line(), None);
        eventually("the connection to be gone", || pen.control("connections"), String::is_empty);
        eventually("a socket to wait or not", || waiting_for(a.port()), |waiting| *waiting == left);
    }
}
