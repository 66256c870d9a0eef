//! Syslog servers behind pen: nothing is ever answered, and nothing is lost.

use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::{all_installed, run};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;

fn syslog_server() -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    let path = dir.path().display();
    let config = dir.file(
        "rsyslog.conf",
        &format!(
            "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")\n\
             *.* action(type=\"omfile\" file=\"{path}/messages\")\n"
        ),
    );
    let (config, pid) = (config.display().to_string(), format!("{path}/pid"));
    Server::on_udp_port(dir, port, "rsyslogd", &["-n", "-f", &config, "-i", &pid])
}

#[test]
fn loggers_reach_every_syslog_server_in_turn() {
    if !all_installed(&[("rsyslogd", "rsyslog"), ("logger", "util-linux")]) {
        return;
    }
    let servers = [syslog_server(), syslog_server()];
    let pen =
        Pen::before(servers.each_ref().map(|server| server.address.clone())).options("-U -r -t 1").start();
    let port = pen.address.port().to_string();
    for number in 0..40 {
        let words = ["-d", "-n", "127.0.0.1", "-P", &port, "-t", "tested", &format!("line {number}.")];
        assert_eq!(run("logger", &words, "").code, Some(0));
    }
    let received = || servers.each_ref().map(|server| server.text("messages").matches(" tested").count());
    eventually("every line, some here and some there", received, |counts| {
        counts.iter().sum::<usize>() == 40 && counts.iter().all(|count| *count >= 15)
    });
    let lines = servers.each_ref().map(|server| server.text("messages")).concat();
    (0..40).for_each(|number| assert!(lines.contains(&format!("line {number}.")), "line {number}: {lines}"));
    assert!(!pen.control("servers json").contains("\"failures_total\":1"), "silence is no failure here");
}
