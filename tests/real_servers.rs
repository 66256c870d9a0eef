//! The recipes of the README, played with the servers and clients that people use. Each test starts servers of its own,
//! with configurations of its own, on ports of its own, and ends them.
//!
//! What is not installed is told and left out; `tests/run` installs everything, and with CI=true nothing may be missing.

mod common;

use common::pattern;
use common::pen::{Ended, Pen};
use common::ports::free_port;
use common::process::listening;
use common::programs::{all_installed, find, run};
use common::real::Server;
use common::sockets::options_of_the_connection;
use common::tempdir::TempDir;
use common::wait::{eventually, timed};
use common::{root, skip};
use nix::unistd::{User, chown};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// More than any buffer on the way holds.
const LARGE_BYTES: usize = 3_000_000;

fn succeeds(program: &str, words: &[&str]) -> Ended {
    let ended = run(program, words, "");
    assert_eq!(ended.code, Some(0), "{program} {words:?}: {ended:?}");
    ended
}

/// Standard output of a successful curl.
fn curl(words: &[&str]) -> String {
    succeeds("curl", &[&["-sS", "--max-time", "20"], words].concat()).stdout
}

/// A file of [`LARGE_BYTES`] that shows every lost, added or moved byte.
fn large_file(path: &Path) {
    pattern::write(&mut fs::File::create(path).unwrap(), LARGE_BYTES).unwrap();
}

fn assert_large(path: &Path) {
    assert_eq!(pattern::read_to_end(&mut fs::File::open(path).unwrap()), LARGE_BYTES);
}

/// Asks twice, stops the server that answered, and asks again: the client keeps its server as long as it is there.
fn assert_kept_until_it_stops(servers: &mut [(&str, Server)], ask: impl Fn() -> String) {
    let first = ask();
    assert_eq!(ask(), first, "a client keeps its server");
    let (_, server) =
        servers.iter_mut().find(|(name, _)| *name == first).unwrap_or_else(|| panic!("{first:?}"));
    server.stop();
    let second = ask();
    assert!(second != first && servers.iter().any(|(name, _)| *name == second), "{first:?}, then {second:?}");
    assert_eq!(ask(), second);
}

/// A web server for https; all share a certificate for the name `lbhost`.
fn https_server(name: &str, certificate: &Path) -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    dir.file("name", name);
    large_file(&dir.path().join("large"));
    let accept = format!("127.0.0.1:{port}");
    let (certificate, key) =
        (certificate.display().to_string(), certificate.with_file_name("key").display().to_string());
    let words = ["s_server", "-quiet", "-WWW", "-accept", &accept, "-cert", &certificate, "-key", &key];
    Server::on_port(dir, port, "openssl", &words)
}

#[test]
fn https_passes_through_and_the_certificate_is_that_of_the_server() {
    if !all_installed(&[("openssl", "openssl"), ("curl", "curl")]) {
        return;
    }
    let dir = TempDir::new();
    let (certificate, key) = (dir.path().join("certificate"), dir.path().join("key"));
    let (certificate_text, key) = (certificate.display().to_string(), key.display().to_string());
    let names = ["-subj", "/CN=lbhost", "-addext", "subjectAltName=DNS:lbhost"];
    let files = ["-keyout", &key, "-out", &certificate_text];
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    succeeds("openssl", &[&request[..], &names, &files].concat());
    let mut servers = ["A", "B"].map(|name| (name, https_server(name, &certificate)));
    let pen = Pen::before(servers.iter().map(|(_, server)| &server.address)).options("-l pen.log").start();
    let port = pen.address.port();
    let resolve = format!("lbhost:{port}:127.0.0.1");
    let get = |path: &str, more: &[&str]| {
        let url = format!("https://lbhost:{port}/{path}");
        curl(&[&["--cacert", &certificate_text, "--resolve", &resolve, &url], more].concat())
    };
    let large = dir.path().join("large");
    get("large", &["-o", &large.display().to_string()]);
    assert_large(&large);
    assert_kept_until_it_stops(&mut servers, || get("name", &[]));
}

const POSTFIX_SERVICES: &str = "
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
";

/// A mail server that puts all mail into one file.
fn smtp_server(name: &str) -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    for (directory, owner) in [("queue", "root"), ("data", "postfix"), ("mail", "nobody")] {
        let path = dir.path().join(directory);
        fs::create_dir(&path).unwrap();
        let owner = User::from_name(owner).unwrap().unwrap_or_else(|| panic!("no user {owner}"));
        chown(&path, Some(owner.uid), None).unwrap();
    }
    let nobody = User::from_name("nobody").unwrap().expect("a user nobody").uid;
    dir.file(
        "main.cf",
        &format!(
            "compatibility_level = 3.6\nmyhostname = {name}.example\nmydestination =\nalias_maps =\n\
             queue_directory = {here}/queue\ndata_directory = {here}/data\n\
             maillog_file = {here}/data/maillog\nmaillog_file_prefixes = {here}\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             inet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\n\
             virtual_mailbox_domains = example.org\nvirtual_mailbox_base = {here}/mail\n\
             virtual_mailbox_maps = static:inbox\n\
             virtual_uid_maps = static:{nobody}\nvirtual_gid_maps = static:{nobody}\n"
        ),
    );
    dir.file("master.cf", &format!("127.0.0.1:{port} inet n - n - - smtpd{POSTFIX_SERVICES}"));
    // Makes the directories of the queue.
    succeeds(&find("postfix").unwrap().display().to_string(), &["-c", &here, "check"]);
    Server::on_port(dir, port, "master", &["-c", &here, "-d"])
}

/// How many messages are in the file.
fn messages(server: &Server) -> usize {
    let inbox = fs::read_to_string(server.dir.path().join("mail/inbox")).unwrap_or_default();
    inbox.matches("\nSubject: through pen\n").count()
}

#[test]
fn smtp_in_turn_and_a_server_that_stops_loses_no_mail() {
    if !root() {
        return skip("postfix needs root");
    }
    if !all_installed(&[("postfix", "postfix"), ("curl", "curl")]) {
        return;
    }
    let [mut first, second] = ["first", "second"].map(smtp_server);
    let pen = Pen::before([&first.address, &second.address]).options("-l pen.log -r").start();
    let dir = TempDir::new();
    let line = "A line of a mail that is long enough to take more than one read.\n";
    let mail = dir.file("mail", &format!("Subject: through pen\n\n{}", line.repeat(5_000)));
    let url = format!("smtp://{}/client.example", pen.address);
    let send = || {
        let upload = mail.display().to_string();
        curl(&[&url, "--mail-from", "me@example.net", "--mail-rcpt", "you@example.org", "-T", &upload]);
    };
    (0..4).for_each(|_| send());
    for server in [&first, &second] {
        eventually("two mails for each", || messages(server), |count| *count == 2);
    }
    first.stop();
    (0..3).for_each(|_| send());
    eventually("the others", || messages(&second), |count| *count == 5);
    // The last one may still be written.
    let lines = || fs::read_to_string(second.dir.path().join("mail/inbox")).unwrap().matches(line).count();
    eventually("every line", lines, |count| *count == 5 * 5_000);
}

/// A server for anonymous ftp.
fn ftp_server(name: &str) -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    let (files, empty) = (dir.path().join("files"), dir.path().join("empty"));
    fs::create_dir(&files).unwrap();
    fs::create_dir(&empty).unwrap();
    fs::write(files.join("name"), name).unwrap();
    large_file(&files.join("large"));
    let configuration = dir.file(
        "vsftpd.conf",
        &format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
             anonymous_enable=YES\nlocal_enable=NO\nxferlog_enable=NO\n\
             anon_root={}\nsecure_chroot_dir={}\n\
             seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\n",
            files.display(),
            empty.display()
        ),
    );
    Server::on_port(dir, port, "vsftpd", &[&configuration.display().to_string()])
}

#[test]
fn ftp_with_data_connections_of_both_kinds() {
    if !root() {
        return skip("vsftpd needs root");
    }
    if !all_installed(&[("vsftpd", "vsftpd"), ("curl", "curl")]) {
        return;
    }
    let mut servers = ["A", "B"].map(|name| (name, ftp_server(name)));
    let pen = Pen::before(servers.iter().map(|(_, server)| &server.address)).options("-l pen.log").start();
    let url = |file: &str| format!("ftp://{}/{file}", pen.address);
    let dir = TempDir::new();
    for mode in [&["--ftp-pasv"][..], &["--ftp-port", "127.0.0.1"]] {
        let large = dir.path().join(mode[0]);
        curl(&[mode, &[&url("large"), "-o", &large.display().to_string()]].concat());
        assert_large(&large);
    }
    assert_kept_until_it_stops(&mut servers, || curl(&[&url("name")]));
}

/// A pop3 server with one mail for the user `me` with the password `secret`.
fn pop3_server(name: &str, host: &str, port: u16) -> Server {
    let dir = TempDir::new();
    let here = dir.path().display().to_string();
    let nobody = User::from_name("nobody").unwrap().expect("a user nobody");
    for directory in ["mail", "mail/me", "mail/me/new", "mail/me/cur", "mail/me/tmp"] {
        fs::create_dir(dir.path().join(directory)).unwrap();
        chown(&dir.path().join(directory), Some(nobody.uid), Some(nobody.gid)).unwrap();
    }
    dir.file("mail/me/new/1.mail", &format!("Subject: {name}\n\n{name}"));
    chown(&dir.path().join("mail/me/new/1.mail"), Some(nobody.uid), None).unwrap();
    dir.file("users", "me:{PLAIN}secret\n");
    let (uid, gid) = (nobody.uid, nobody.gid);
    dir.file(
        "dovecot.conf",
        &format!(
            "base_dir = {here}/run\nstate_dir = {here}/run\nlog_path = {here}/log\n\
             protocols = pop3\nlisten = {host}\nssl = no\ndisable_plaintext_auth = no\n\
             default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
             first_valid_uid = 1\nmail_location = maildir:{here}/mail/%u\n\
             passdb {{\n driver = passwd-file\n args = {here}/users\n}}\n\
             userdb {{\n driver = static\n args = uid={uid} gid={gid} home={here}/mail/%u\n}}\n\
             service pop3-login {{\n chroot =\n inet_listener pop3 {{\n port = {port}\n }}\n \
             inet_listener pop3s {{\n port = 0\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\n"
        ),
    );
    let address = format!("{host}:{port}");
    Server::start(dir, address, "dovecot", &["-F", "-c", "dovecot.conf"], || listening(port))
}

/// As in the recipe: one server on a port of its own beside pen, the other elsewhere on pen's own port.
#[test]
fn pop3_beside_pen_and_elsewhere() {
    if !root() {
        return skip("dovecot needs root");
    }
    if !all_installed(&[("pop3", "dovecot-pop3d"), ("curl", "curl")]) {
        return;
    }
    let port = free_port();
    let beside = free_port();
    let mut servers =
        [("A", pop3_server("A", "127.0.0.1", beside)), ("B", pop3_server("B", "127.0.0.2", port))];
    let pen = Pen::before([servers[0].1.address.as_str(), "127.0.0.2"])
        .listen(format!("127.0.0.1:{port}"))
        .options("-p pen.pid")
        .start();
    let url = format!("pop3://me:secret@{}/1", pen.address);
    assert_kept_until_it_stops(&mut servers, || {
        let mail = curl(&[&url]);
        mail.lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap_or_else(|| panic!("{mail}"))
            .to_string()
    });
}

/// An ldap server whose only entry has its name. `url` is where it listens.
fn ldap_server(name: &str, dir: TempDir, address: String, url: &str, is_ready: impl Fn() -> bool) -> Server {
    fs::create_dir(dir.path().join("db")).unwrap();
    dir.file(
        "slapd.conf",
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         pidfile slapd.pid\ndatabase mdb\nsuffix dc=example,dc=org\ndirectory db\n",
    );
    dir.file(
        "entry.ldif",
        &format!(
            "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: {name}\n"
        ),
    );
    let add = Command::new(find("slapadd").unwrap())
        .args(["-f", "slapd.conf", "-l", "entry.ldif"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(add.status.success(), "{}", String::from_utf8_lossy(&add.stderr));
    Server::start(dir, address, "slapd", &["-f", "slapd.conf", "-h", url, "-d", "0"], is_ready)
}

fn ldap_server_at(name: &str, host: &str) -> Server {
    let port = free_port();
    let address = format!("{host}:{port}");
    ldap_server(name, TempDir::new(), address.clone(), &format!("ldap://{address}"), || listening(port))
}

/// The name of the server that answers at this URL.
fn ldap_name(url: &str) -> String {
    let words = ["-x", "-LLL", "-o", "nettimeout=20", "-H", url, "-b", "dc=example,dc=org", "o"];
    let found = succeeds("ldapsearch", &words).stdout;
    found.lines().find_map(|line| line.strip_prefix("o: ")).unwrap_or_else(|| panic!("{found}")).to_string()
}

const LDAP: &[(&str, &str)] = &[("slapd", "slapd"), ("ldapsearch", "ldap-utils")];

#[test]
fn ldap_goes_on_when_one_of_two_servers_stops() {
    if !all_installed(LDAP) {
        return;
    }
    let mut servers = ["A", "B"].map(|name| (name, ldap_server_at(name, "127.0.0.1")));
    let pen = Pen::before(servers.iter().map(|(_, server)| &server.address)).options("-d -d").start();
    assert_kept_until_it_stops(&mut servers, || ldap_name(&format!("ldap://{}", pen.address)));
}

#[test]
fn ldap_over_ipv6_and_ipv4_mixed() {
    if !all_installed(LDAP) {
        return;
    }
    let mut servers = [("A", ldap_server_at("A", "127.0.0.1")), ("B", ldap_server_at("B", "[::1]"))];
    let listen = format!("[::1]:{}", free_port());
    let pen = Pen::before(servers.iter().map(|(_, server)| &server.address)).listen(listen).start();
    assert_kept_until_it_stops(&mut servers, || ldap_name(&format!("ldap://{}", pen.address)));
}

#[test]
fn ldap_over_unix_sockets_on_both_sides() {
    if !all_installed(LDAP) {
        return;
    }
    let url = |path: &Path| format!("ldapi://{}", path.display().to_string().replace('/', "%2F"));
    let mut servers = ["A", "B"].map(|name| {
        let dir = TempDir::new();
        let path = dir.path().join("ldapi");
        // The file is there before anybody listens.
        let is_ready = || UnixStream::connect(&path).is_ok();
        (name, ldap_server(name, dir, path.display().to_string(), &url(&path), is_ready))
    });
    let start = Pen::before(servers.iter().map(|(_, server)| &server.address));
    let listen = start.path("listen");
    let _pen = start.listen(listen.display()).start();
    assert_kept_until_it_stops(&mut servers, || ldap_name(&url(&listen)));
}

/// Through Pen, which holds back a small piece until the one before it is acknowledged, ldapsearch got 63 answers a second
/// where 450 were possible.
#[test]
fn ldap_searches_in_a_row_are_not_held_back() {
    if !all_installed(LDAP) {
        return;
    }
    const SEARCHES: usize = 300;
    let server = ldap_server_at("A", "127.0.0.1");
    let pen = Pen::before([&server.address]).start();
    let mut client = Command::new("ldapsearch");
    let url = format!("ldap://{}", pen.address);
    client.args(["-x", "-LLL", "-o", "nettimeout=20", "-H", &url, "-b", "dc=example,dc=org"]);
    // One search for each line of standard input, over one connection.
    client.args(["-f", "-", "(o=%s)", "o"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut answers = BufReader::new(client.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut search = || {
        writeln!(client.stdin.as_ref().unwrap(), "A").unwrap();
        answers.find(|line| line.starts_with("o: ")).expect("an answer")
    };
    let (_, time) = timed(|| (0..SEARCHES).for_each(|_| assert_eq!(search(), "o: A")));
    eprintln!("{:.0} searches a second, one after the other", SEARCHES as f64 / time.as_secs_f64());
    if let Some(sides) = options_of_the_connection(&pen) {
        assert_eq!(sides.map(|options| options.nodelay), [true, true]);
    }
    drop(client.stdin.take());
    assert!(client.wait().unwrap().success());
}

#[test]
fn tidy_understands_the_page_of_two_services() {
    if !all_installed(&[("tidy", "tidy")]) {
        return;
    }
    let server = common::backend::Backend::named("A");
    let pen = Pen::before([&server]).start();
    for line in ["service add dns", "service dns udp", "service dns server 0 address 127.0.0.1 port 53"] {
        let reply = pen.control(line);
        assert!(!reply.starts_with("error"), "{line}: {reply}");
    }
    let page = pen.control("status");
    assert!(page.contains("<h2>Service dns</h2>"), "{page}");
    let checked = run("tidy", &["-q", "-e", "-utf8", "--drop-empty-elements", "no"], &page);
    assert_eq!((checked.code, checked.stdout.as_str(), checked.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn prometheus_understands_the_metrics() {
    if !all_installed(&[("promtool", "prometheus")]) {
        return;
    }
    let server = common::backend::Backend::named("A");
    let pen = Pen::before([server.to_string(), "/no/such/\"server\"\\".to_string()]).start();
    assert_eq!(pen.ask_from("127.0.0.9"), "A");
    let check = || {
        let checked = run("promtool", &["check", "metrics"], &pen.control("metrics"));
        assert_eq!((checked.code, checked.stdout.as_str(), checked.stderr.as_str()), (Some(0), "", ""));
    };
    check();
    for line in ["service add dns", "service dns udp", "service dns server 0 address 127.0.0.1 port 53"] {
        let reply = pen.control(line);
        assert!(!reply.starts_with("error"), "{line}: {reply}");
    }
    check();
    assert!(pen.control("metrics").contains("pen_relayed_datagrams_total{service=\"dns\",to=\"client\"} 0"));
}
