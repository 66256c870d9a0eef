//! The door for terminals, with OpenSSH's client: keys, rights, answers, and who is out.

use crate::agent::{self, Token};
use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::programs::{all_installed, command, ours};
use crate::common::terminal::Terminal;
use crate::common::wait::eventually;
use crate::desk::{Desk, add_user, control};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

pub const NEEDED: [(&str, &str); 2] = [("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")];

/// A penadmin with a door for ssh, `anna` (full) and `rob` (readonly) with keys of those names.
pub struct Door {
    pub desk: Desk,
    pub port: String,
}

impl Door {
    pub fn before(pens: &[&str]) -> Door {
        let keys = crate::common::tempdir::TempDir::new();
        let host_key = keys.path().join("host_key");
        let desk = Desk::with(&["--ssh", "127.0.0.1:0", "--host-key", host_key.to_str().unwrap()], pens);
        let said = || desk.text("stderr");
        let text = eventually("ssh", said, |text| text.contains("penadmin: ssh at 127.0.0.1:"));
        let port = text.split("ssh at 127.0.0.1:").nth(1).unwrap().split(',').next().unwrap().to_string();
        assert_eq!(fs::metadata(&host_key).unwrap().permissions().mode() & 0o777, 0o600);
        // The client shall know the host by what ssh-keygen says that it is.
        let public = Command::new("ssh-keygen").arg("-yf").arg(&host_key).output().unwrap();
        let public = String::from_utf8(public.stdout).unwrap();
        fs::write(desk.path("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        let door = Door { desk, port };
        for (name, access, kind) in [("anna", "full", "ed25519"), ("rob", "readonly", "ecdsa")] {
            let public = door.make_key(name, kind);
            add_user(&door.desk.path("users"), &[name, access, "--key", &public]);
        }
        door
    }

    fn make_key(&self, name: &str, kind: &str) -> String {
        let path = self.desk.path(name);
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(&path).status();
        assert!(made.unwrap().success());
        self.desk.text(&format!("{name}.pub"))
    }

    /// OpenSSH's client with the key of this name, for this user.
    pub fn client(&self, key: &str, user: &str) -> Command {
        let mut client = command("ssh");
        client.args([
            "-F",
            "none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-p",
            &self.port,
            "-i",
        ]);
        client.arg(self.desk.path(key));
        client.arg("-o").arg(format!("UserKnownHostsFile={}", self.desk.path("known").display()));
        client.args(["-o", "StrictHostKeyChecking=yes"]).env_remove("SSH_AUTH_SOCK");
        client.stdin(Stdio::null()).arg(format!("{user}@127.0.0.1"));
        client
    }

    fn remove(&self, name: &str) {
        let mut remove = Command::new(ours("penadmin"));
        remove.arg("user").arg(self.desk.path("users")).args(["remove", name]);
        assert!(remove.status().unwrap().success());
    }

    pub fn says(&self, user: &str, words: &[&str]) -> Output {
        self.client(user, user).args(words).output().unwrap()
    }
}

#[track_caller]
pub fn assert_said(output: &Output, status: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(said, (Some(status), stdout.into(), stderr.into()));
}

#[test]
fn a_command_is_carried_out_for_whom_the_key_belongs_to() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let door = Door::before(&[&format!("shop={}", control(&pen))]);
    assert_said(&door.says("anna", &["blacklist", "17"]), 0, "17\n", "");
    assert_said(&door.says("anna", &["shop:", "blacklist"]), 0, "17\n", "");
    assert_said(&door.says("anna", &["pens"]), 0, "shop\n", "");
    assert_said(&door.says("rob", &["blacklist"]), 0, "17\n", "");
    let forbidden = "error: a user with access \"readonly\" may only look\n";
    assert_said(&door.says("rob", &["blacklist", "18"]), 1, "", forbidden);
    assert_said(&door.says("rob", &["mail: servers"]), 1, "", "error: no pen \"mail\"\n");
    let wrong = door.says("anna", &["server", "9", "disable"]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert!(wrong.stderr.starts_with(b"error: server 9: "), "{wrong:?}");
    assert_eq!(pen.control("blacklist"), "17\n");

    let audit = door.desk.text("audit");
    let lines: Vec<_> = audit.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(lines, ["anna\tssh\tshop\tblacklist 17", "anna\tssh\tshop\tserver 9 disable"]);
    let json = door.says("rob", &["servers", "json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap()[0]["index"], 0, "{json:?}");
}

#[test]
fn a_security_key_opens_and_one_that_is_of_no_use_is_refused_when_it_is_given() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let door = Door::before(&[&control(&pen)]);
    for (name, token) in [("token", Token::ed25519()), ("older", Token::ecdsa())] {
        let kind = token.kind();
        let agent = agent::start(door.desk.dir.path(), name, token);
        let public = format!("{name}.pub");
        let ask = |user: &str| {
            let mut client = door.client(&public, user);
            client.env("SSH_AUTH_SOCK", &agent).arg("pid").output().unwrap()
        };
        assert_eq!(ask("anna").status.code(), Some(255), "{kind}: a key of nobody");
        add_user(&door.desk.path("users"), &["anna", "full", "--key", &door.desk.text(&public)]);
        assert_said(&ask("anna"), 0, &pen.control("pid"), "");
        assert_eq!(ask("rob").status.code(), Some(255), "{kind}: another's key");
    }

    let rsa = door.make_key("old", "rsa");
    let mut user = Command::new(ours("penadmin"));
    let refused = user.arg("user").arg(door.desk.path("users")).args(["rob", "readonly", "--key", &rsa]);
    let said = String::from_utf8(refused.stdin(Stdio::null()).output().unwrap().stderr).unwrap();
    assert!(said.starts_with("penadmin: --key: want a key that is one of ssh-ed25519, "), "{said}");
    assert!(said.contains(", got ssh-rsa\n"), "{said}");
}

#[test]
fn only_keys_of_the_user_open_and_nothing_else_is_served() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let door = Door::before(&[&control(&pen)]);
    door.make_key("stranger", "ed25519");
    for (key, user) in [("stranger", "anna"), ("rob", "anna"), ("anna", "nobody")] {
        let refused = door.client(key, user).arg("pid").output().unwrap();
        assert_eq!(refused.status.code(), Some(255), "{refused:?}");
        let why = format!("{user}@127.0.0.1: Permission denied (publickey).");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(&why), "{refused:?}");
    }
    let subsystem = door.client("anna", "anna").args(["-s", "sftp"]).output().unwrap();
    assert_ne!(subsystem.status.code(), Some(0), "{subsystem:?}");
    assert!(String::from_utf8_lossy(&subsystem.stderr).contains("subsystem request failed"), "{subsystem:?}");
    let mut forward = command("ssh");
    forward.args(["-W", "127.0.0.1:1", "-F", "none", "-o", "BatchMode=yes", "-p", &door.port, "-i"]);
    forward.arg(door.desk.path("anna")).args(["-o", "StrictHostKeyChecking=no", "-o"]);
    forward.arg(format!("UserKnownHostsFile={}", door.desk.path("known").display()));
    let forward = forward.arg("anna@127.0.0.1").stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&forward.stderr).contains("open failed"), "{forward:?}");
    let mut back = command("ssh");
    back.args(["-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"]);
    let known = format!("UserKnownHostsFile={}", door.desk.path("known").display());
    back.args(["-F", "none", "-o", "BatchMode=yes", "-o", &known, "-p", &door.port, "-i"]);
    let back = back.arg(door.desk.path("anna")).args(["anna@127.0.0.1", "pid"]);
    let back = back.stdin(Stdio::null()).output().unwrap();
    assert_eq!(back.status.code(), Some(255), "{back:?}");
    // Who is removed does not come in any more.
    door.remove("anna");
    assert_eq!(door.says("anna", &["pid"]).status.code(), Some(255));
    assert_eq!(door.says("rob", &["pid"]).stdout, pen.control("pid").into_bytes());
}

#[test]
fn a_shell_completes_shows_tables_and_ends_when_its_user_is_removed() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pens = [Pen::before([&a]).start(), Pen::before([&a]).start()];
    let names = [format!("shop={}", control(&pens[0])), format!("mail={}", control(&pens[1]))];
    let door = Door::before(&[&names[0], &names[1]]);
    assert_said(&door.says("rob", &["mail: pid"]), 0, &pens[1].control("pid"), "");
    assert!(door.says("rob", &["pid"]).stderr.starts_with(b"error: which pen?"));

    let mut client = door.client("anna", "anna");
    client.arg("-tt");
    let mut shell = Terminal::start(client, (100, 30));
    shell.until("pens: shop mail");
    shell.write("shop: blackl\t 18\r");
    shell.until("18\r\n");
    assert_eq!(pens[0].control("blacklist"), "18\n");
    shell.write("shop:\rservers\r");
    shell.until("ADDRESS");
    // The wrong letter goes, and a server that only pen knows is completed.
    shell.write("serverx\x7f 0 nonsense\r");
    shell.until("error: server 0: ");
    shell.write("exit\r");
    shell.until("End pen? [y/N]");
    shell.write("n\rpid\r");
    shell.until(&pens[0].control("pid").replace('\n', "\r\n"));
    door.remove("anna");
    shell.until("you may not be here any more");
    assert_eq!(shell.child.wait().unwrap().code(), Some(255));
}

#[test]
fn lines_without_a_terminal_go_on_until_one_fails() {
    if !all_installed(&NEEDED) {
        return;
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let door = Door::before(&[&control(&pen)]);
    let script = door.desk.path("script");
    fs::write(&script, "blacklist 11\nnonsense\nblacklist 12").unwrap();
    let mut client = door.client("anna", "anna");
    let said = client.arg("-T").stdin(fs::File::open(&script).unwrap()).output().unwrap();
    assert_eq!((said.status.code(), &said.stdout[..]), (Some(1), &b"11\n"[..]), "{said:?}");
    assert!(said.stderr.starts_with(b"error: "), "{said:?}");
    assert_eq!(pen.control("blacklist"), "11\n");
}
