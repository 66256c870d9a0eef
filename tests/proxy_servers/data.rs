//! Databases and directories.

use crate::common::ports::free_port;
use crate::common::programs::{all_installed, run};
use crate::common::real::Server;
use crate::common::root;
use crate::common::tempdir::TempDir;
use crate::door::{Door, Log, PEN, assert_told, between};
use nix::unistd::{User, chown};
use std::io::{Read, Write};

/// Without tables of its own, as it need not check anybody.
#[test]
fn mariadb() {
    if !all_installed(&[("mariadbd", "mariadb-server-core"), ("mariadb", "mariadb-client-core")]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    if root() {
        let nobody = User::from_name("nobody").unwrap().expect("a user nobody").uid;
        chown(dir.path(), Some(nobody), None).unwrap();
    }
    let here = dir.path().display().to_string();
    let words = [
        "--no-defaults".to_owned(),
        "--user=nobody".to_owned(),
        format!("--datadir={here}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        "--socket=socket".to_owned(),
        "--pid-file=pid".to_owned(),
        "--skip-grant-tables".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--innodb=OFF".to_owned(),
        "--default-storage-engine=MyISAM".to_owned(),
        "--default-tmp-storage-engine=MyISAM".to_owned(),
        "--general-log".to_owned(),
        "--general-log-file=general.log".to_owned(),
        format!("--proxy-protocol-networks={PEN}"),
    ];
    let server = Server::on_port(dir, port, "mariadbd", &words.each_ref().map(String::as_str));
    let log = Log::new(&server, "general.log", |line| between(line, "Connect\tsomebody@", " "));
    assert_told(&server, &["v1", "v2"], |door| {
        let way = match door {
            Door::Inet(to) => ["-h".into(), to.ip().to_string(), "-P".into(), to.port().to_string()],
            Door::Unix(path) => ["-S".into(), path.display().to_string(), "-u".into(), "somebody".into()],
        };
        let words = ["--no-defaults", "-u", "somebody", "-N", "-e", "select 1"];
        let ended = run("mariadb", &[&words[..], &way.each_ref().map(String::as_str)].concat(), "");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "1\n"), "{ended:?}");
        log.next()
    });
}

#[test]
fn openldap() {
    if !all_installed(&[("slapd", "slapd")]) {
        return;
    }
    /// An anonymous bind, and the answer that it is done.
    const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0";
    const BOUND: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0";
    let (dir, port) = (TempDir::new(), free_port());
    let config = "include /etc/ldap/schema/core.schema\npidfile slapd.pid\n";
    let config = dir.file("slapd.conf", config).display().to_string();
    let url = format!("pldap://127.0.0.1:{port}/");
    let server = Server::on_port(dir, port, "slapd", &["-f", &config, "-h", &url, "-d", "stats"]);
    let log = Log::new(&server, "said", |line| {
        let with_port = between(line, "ACCEPT from IP=", " (")?;
        Some(with_port.rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned())
    });
    assert_told(&server, &["v2"], |door| {
        let mut stream = door.open();
        stream.write_all(BIND).unwrap();
        let mut answer = [0; BOUND.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, BOUND);
        log.next()
    });
}
