//! The true clients in the web servers' logs, afterwards and live, and what a log analyser makes of them.

use crate::apache::Apache;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::{command, ours};
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::programs::{found, succeed};
use crate::site::{self, SERVERS, VISITORS, VISITS, assert_every_line_has_its_visitor};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn lines(text: &str) -> usize {
    text.lines().count()
}

/// GoAccess reads the log without a complaint and finds the visitors in it; its report for people appears too.
fn assert_goaccess_reports_the_visitors(log: &Path) {
    let report = |name: &str| {
        let output = log.with_file_name(name);
        let mut goaccess = command("goaccess");
        goaccess.arg(log).args(["--log-format=COMBINED", "--no-global-config", "--no-progress", "-r", "-o"]);
        succeed(goaccess.arg(&output));
        fs::read_to_string(output).unwrap()
    };
    let figures: Value = serde_json::from_str(&report("report.json")).unwrap();
    assert_eq!(figures["general"]["failed_requests"], 0);
    assert_eq!(figures["general"]["total_requests"], (VISITORS * VISITS) as u64);
    let hosts = figures["hosts"]["data"].as_array().unwrap();
    assert_eq!(hosts.len(), VISITORS);
    for host in hosts {
        assert!(host["data"].as_str().unwrap().starts_with("127.0.1."), "{host}");
        assert_eq!(host["hits"]["count"], VISITS as u64, "{host}");
    }
    assert!(report("report.html").contains("127.0.1.8"));
}

#[test]
fn afterwards_by_mergelogs() {
    if !found(&["apache2", "curl", "goaccess"]) {
        return;
    }
    let port = site::port();
    let log = "CustomLog @DIR@/access.log combined";
    let servers = SERVERS.map(|address| Apache::start(address, port, log));
    let pen = Pen::before(servers.iter().map(|server| &server.listen)).options("-l pen.log -r").start();
    site::visit_all(&pen);
    eventually("pen's log", || lines(&pen.text("pen.log")), |count| *count == VISITORS * VISITS);
    let web_lines = || servers.iter().map(|server| lines(&server.text("access.log"))).sum::<usize>();
    eventually("the servers' logs", web_lines, |count| *count == VISITORS * VISITS);
    assert!(servers.iter().all(|server| lines(&server.text("access.log")) > VISITS), "both have work");
    assert!(servers[0].text("access.log").starts_with("127.0.0.1 "), "without help all comes from pen");

    let mut mergelogs = Command::new(ours("mergelogs"));
    mergelogs.arg("-p").arg(pen.path("pen.log")).arg("-o").arg(pen.path("access_log"));
    mergelogs.args(
        SERVERS
            .iter()
            .zip(&servers)
            .map(|(address, server)| format!("{address}:{}", server.path("access.log").display())),
    );
    let output = succeed(&mut mergelogs);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_every_line_has_its_visitor(&pen.text("access_log"));
    assert_goaccess_reports_the_visitors(&pen.path("access_log"));
}

/// penlogd in the foreground, ended when dropped.
pub struct Penlogd(Child);

impl Drop for Penlogd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Penlogd {
    pub fn start(port: u16, dir: &TempDir) -> Penlogd {
        let mut penlogd = Command::new(ours("penlogd"));
        penlogd.args(["-f", "-l", "access_log", "-p", "penlogd.pid"]).arg(port.to_string());
        let mut penlogd = Penlogd(penlogd.current_dir(dir.path()).stdin(Stdio::null()).spawn().unwrap());
        let look = || {
            assert_eq!(penlogd.0.try_wait().unwrap(), None, "penlogd ended");
            UdpSocket::bind(("127.0.0.1", port)).is_err()
        };
        eventually("penlogd to receive", look, |taken| *taken);
        penlogd
    }
}

#[test]
fn live_by_penlog_and_penlogd() {
    if !found(&["apache2", "curl", "goaccess"]) {
        return;
    }
    let (port, log_port, dir) = (site::port(), free_port(), TempDir::new());
    let penlogd = Penlogd::start(log_port, &dir);
    let penlog = ours("penlog");
    let servers = SERVERS.map(|address| {
        // The third word is the address by which pen knows the server.
        let log = format!("CustomLog \"|{} 127.0.0.1 {log_port} {address}\" combined", penlog.display());
        Apache::start(address, port, &log)
    });
    let pen = Pen::before(servers.iter().map(|server| &server.listen))
        .options("-r -l")
        .word(format_args!("127.0.0.1:{log_port}"))
        .start();
    site::visit_all(&pen);
    let log = dir.path().join("access_log");
    let text = || fs::read_to_string(&log).unwrap_or_default();
    eventually("the joined log", || lines(&text()), |count| *count == VISITORS * VISITS);
    assert_every_line_has_its_visitor(&text());
    assert_goaccess_reports_the_visitors(&log);

    // Rotation, as logrotate does it.
    fs::rename(&log, dir.path().join("access_log.1")).unwrap();
    kill(Pid::from_raw(penlogd.0.id() as i32), Signal::SIGHUP).unwrap();
    eventually("a new log", || log.exists(), |exists| *exists);
    site::visit_all(&pen);
    eventually("its lines", || lines(&text()), |count| *count == VISITORS * VISITS);
    assert_every_line_has_its_visitor(&text());
}
