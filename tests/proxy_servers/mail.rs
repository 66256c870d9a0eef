//! Mail servers.

use crate::common::balancers::haproxy;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::process::listening;
use crate::common::programs::{all_installed, find, run};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::{root, skip, skip_without};
use crate::door::{Log, PEN, assert_told, between};
use nix::unistd::{User, chown};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A postfix of which only this service listens.
fn postfix(service: &str) -> Option<Server> {
    if !root() {
        skip("postfix needs root");
        return None;
    }
    if !all_installed(&[("postfix", "postfix")]) {
        return None;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    for (directory, owner) in [("queue", "root"), ("data", "postfix")] {
        let path = dir.path().join(directory);
        fs::create_dir(&path).unwrap();
        let owner = User::from_name(owner).unwrap().unwrap_or_else(|| panic!("no user {owner}"));
        chown(&path, Some(owner.uid), None).unwrap();
    }
    dir.file(
        "main.cf",
        &format!(
            "compatibility_level = 3.6\nmyhostname = mail.example\nmydestination =\nalias_maps =\n\
             queue_directory = {here}/queue\ndata_directory = {here}/data\nmaillog_file = {here}/data/maillog\n\
             maillog_file_prefixes = {here}\ncommand_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\ninet_interfaces = 127.0.0.1\ninet_protocols = all\n\
             mynetworks = 127.0.0.0/8\nsmtpd_peername_lookup = no\nsmtpd_delay_reject = no\n\
             smtpd_client_restrictions = reject\npostscreen_access_list = static:reject\n\
             postscreen_blacklist_action = drop\npostscreen_cache_map =\n"
        ),
    );
    let others = "postlog unix-dgram n - n - 1 postlogd\nanvil unix - - n - 1 anvil\n\
                  rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n";
    dir.file("master.cf", &format!("127.0.0.1:{port} inet n - n - {service}\n{others}"));
    let postfix = find("postfix").unwrap().display().to_string();
    let checked = run(&postfix, &["-c", &here, "check"], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    Some(Server::on_port(dir, port, "master", &["-c", &here, "-d"]))
}

#[test]
fn postfix_smtpd() {
    let Some(server) = postfix("- smtpd -o smtpd_upstream_proxy_protocol=haproxy") else { return };
    assert_told(&server, &["v1", "v2"], |door| {
        let refusal = door.converse(b"QUIT\r\n");
        between(&refusal, "<unknown[", "]>: Client host rejected").unwrap_or(refusal)
    });
}

#[test]
fn postfix_postscreen() {
    let Some(server) = postfix("1 postscreen -o postscreen_upstream_proxy_protocol=haproxy") else { return };
    let log = Log::new(&server, "data/maillog", |line| between(line, "CONNECT from [", "]:"));
    assert_told(&server, &["v1", "v2"], |door| {
        door.converse(b"QUIT\r\n");
        log.next()
    });
}

/// Where `tests/run` unpacks Debian's package, which cannot be installed beside postfix.
fn unpacked_exim() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("exim")
}

#[test]
fn exim() {
    if !root() {
        return skip("exim needs root");
    }
    let unpacked = unpacked_exim();
    let program = unpacked.join("usr/sbin/exim4");
    if !program.exists() {
        return skip_without("exim4-daemon-heavy");
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    let nobody = User::from_name("nobody").unwrap().expect("a user nobody");
    chown(dir.path(), Some(nobody.uid), None).unwrap();
    // The program insists on a user of this name, whom only its installation makes.
    let identity = format!("{}:{}", nobody.uid, nobody.gid);
    let user = format!(
        "root:x:0:0::/:/bin/sh\nnobody:x:{identity}::/:/bin/false\nDebian-exim:x:{identity}::/:/bin/false\n"
    );
    let users = dir.file("passwd", &user).display().to_string();
    let group = format!("root:x:0:\nnogroup:x:{0}:\nDebian-exim:x:{0}:\n", nobody.gid);
    let groups = dir.file("group", &group).display().to_string();
    let config = format!(
        "exim_user = nobody\nexim_group = nogroup\nspool_directory = {here}\nlog_file_path = {here}/%s.log\n\
         hosts_proxy = {PEN}\nacl_smtp_connect = tell\nbegin acl\ntell:\n  \
         deny message = you are $sender_host_address\n"
    );
    let config = dir.file("exim.conf", &config).display().to_string();
    let (address, pid) = (format!("127.0.0.1.{port}"), format!("{here}/pid"));
    let environment = [
        "LD_PRELOAD=libnss_wrapper.so".to_owned(),
        format!("NSS_WRAPPER_PASSWD={users}"),
        format!("NSS_WRAPPER_GROUP={groups}"),
        program.display().to_string(),
    ];
    let words = ["-bdf", "-C", &config, "-oX", &address, "-oP", &pid];
    let words = [&environment.each_ref().map(String::as_str)[..], &words].concat();
    let server = Server::on_port(dir, port, "env", &words);
    assert_told(&server, &["v1", "v2"], |door| {
        let refusal = door.converse(b"QUIT\r\n");
        between(&refusal, "550 you are ", "\r\n").unwrap_or(refusal)
    });
}

/// With a user `me` whose password is `secret`, but not for everybody without TLS.
fn dovecot() -> Option<Server> {
    if !root() {
        skip("dovecot needs root");
        return None;
    }
    if !all_installed(&[("pop3", "dovecot-pop3d")]) {
        return None;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    let nobody = User::from_name("nobody").unwrap().expect("a user nobody");
    fs::create_dir(dir.path().join("mail")).unwrap();
    chown(&dir.path().join("mail"), Some(nobody.uid), Some(nobody.gid)).unwrap();
    dir.file("users", "me:{PLAIN}secret\n");
    let (uid, gid) = (nobody.uid, nobody.gid);
    dir.file(
        "dovecot.conf",
        &format!(
            "base_dir = {here}/run\nstate_dir = {here}/run\nlog_path = {here}/log\n\
             protocols = pop3\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = yes\n\
             haproxy_trusted_networks = {PEN}\n\
             default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
             first_valid_uid = 1\nmail_location = maildir:{here}/mail/%u\n\
             passdb {{\n driver = passwd-file\n args = {here}/users\n}}\n\
             userdb {{\n driver = static\n args = uid={uid} gid={gid} home={here}/mail/%u\n}}\n\
             service pop3-login {{\n chroot =\n inet_listener pop3 {{\n port = {port}\n haproxy = yes\n }}\n \
             inet_listener pop3s {{\n port = 0\n }}\n}}\nservice anvil {{\n chroot =\n}}\n"
        ),
    );
    let address = format!("127.0.0.1:{port}");
    Some(Server::start(dir, address, "dovecot", &["-F", "-c", "dovecot.conf"], || listening(port)))
}

#[test]
fn dovecot_pop3() {
    let Some(server) = dovecot() else { return };
    let log = Log::new(&server, "log", |line| between(line, "rip=", ","));
    assert_told(&server, &["v1", "v2"], |door| {
        door.converse(b"QUIT\r\n");
        log.next()
    });
}

/// A certificate of its own, with the key in the same file.
fn certificate(dir: &Path) -> String {
    let file = |name: &str| dir.join(name).display().to_string();
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pen.test"];
    let out = ["-keyout", &file("key"), "-out", &file("certificate")];
    let made = run("openssl", &[&request[..], &out].concat(), "");
    assert_eq!(made.code, Some(0), "{made:?}");
    let both = ["certificate", "key"].map(|name| fs::read_to_string(dir.join(name)).unwrap()).concat();
    fs::write(dir.join("both.pem"), both).unwrap();
    file("both.pem")
}

/// Dovecot takes no password from a client without TLS, and with `v2-ssl` only it learns that the client has some.
fn assert_logs_in_with_v2_ssl_only(pen: &Pen, to: SocketAddr) {
    let url = format!("pop3s://me:secret@{to}/");
    for (version, expected) in [("v2", false), ("v2-ssl", true)] {
        pen.control(&format!("server 0 proxy {version}"));
        let ended = run("curl", &["-sSk", "--max-time", "20", &url], "");
        assert_eq!(ended.code == Some(0), expected, "{version}: {ended:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn dovecot_takes_the_password_of_a_client_that_has_tls_with_pen() {
    if !all_installed(&[("openssl", "openssl"), ("curl", "curl")]) {
        return;
    }
    let Some(server) = dovecot() else { return };
    let dir = TempDir::new();
    let start = Pen::before([&server.address]).command(format!("source {PEN}"));
    let pen = start.options("-E").word(certificate(dir.path())).start();
    assert_logs_in_with_v2_ssl_only(&pen, pen.address);
}

#[test]
fn dovecot_takes_the_password_of_a_client_that_has_tls_with_haproxy_before_pen() {
    if !all_installed(&[("openssl", "openssl"), ("curl", "curl"), ("haproxy", "haproxy")]) {
        return;
    }
    let Some(server) = dovecot() else { return };
    let start = Pen::before([&server.address]).command(format!("source {PEN}"));
    let pen = start.command("proxy_accept 127.0.0.1").start();
    let (dir, port) = (TempDir::new(), free_port());
    let section = format!(
        "listen ending\n    bind 127.0.0.1:{port} ssl crt {}\n    server pen {} send-proxy-v2-ssl-cn \
         proxy-v2-options authority,crc32c,ssl-cipher",
        certificate(dir.path()),
        pen.address
    );
    let _downstream = haproxy(port, &section);
    assert_logs_in_with_v2_ssl_only(&pen, ([127, 0, 0, 1], port).into());
}
