//! The running configuration compared with a file, and made that of a file.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use std::fs;

fn does(pen: &Pen, line: &str) {
    let reply = pen.control(line);
    assert!(!reply.starts_with("error"), "{line}: {reply}");
}

fn write(pen: &Pen, name: &str, text: &str) -> String {
    fs::write(pen.path(name), text).unwrap();
    pen.path(name).display().to_string()
}

#[test]
fn what_was_saved_is_found_again_and_what_changed_is_shown_and_undone() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-b 9").start();
    let saved = pen.path("saved").display().to_string();
    does(&pen, "server 0 name alpha");
    does(&pen, &format!("write {saved}"));
    assert_eq!(pen.control(&format!("diff {saved}")), "", "just saved");
    let mut held = pen.connect();
    let name = held.line();
    for line in
        ["hash", "server alpha max 7", "server 1 weight 3", "acl 1 permit 10.0.0.0/8", "server 1 drain"]
    {
        does(&pen, line);
    }
    let port = free_port();
    does(&pen, "service add web");
    does(&pen, &format!("service web listen 127.0.0.1:{port}"));
    let undo = "no acl 1\nservice remove web\nno hash\nserver 1 remove\nserver 0 max 0\n";
    let diff = pen.control(&format!("diff {saved}"));
    assert!(diff.starts_with(undo), "{diff}");
    assert!(diff[undo.len()..].starts_with("server 1 acl 0 address 127.0.0.1 port "), "{diff}");
    assert_eq!(diff.lines().count(), 6, "{diff}");
    let redo = pen.control(&format!("diff {saved} reverse"));
    assert!(redo.contains(&format!("service web listen 127.0.0.1:{port}\n")), "{redo}");
    assert!(redo.contains("server 1 weight 3\nserver 1 drain\n"), "{redo}");
    assert_eq!(pen.control(&format!("apply {saved}")), diff, "the commands that were carried out");
    assert_eq!(pen.control(&format!("diff {saved}")), "");
    assert_eq!(pen.control("services").lines().count(), 1);
    assert_eq!(held.exchange("still"), "still");
    assert!(["A", "B"].contains(&&*name));
    let again = write(&pen, "again", &redo);
    does(&pen, &format!("include {again}"));
    assert_eq!(pen.control(&format!("diff {saved}")), diff, "there and back");
}

/// A file as a person writes it: servers are known by their names, and what it does not say is default or gone.
#[test]
fn a_file_says_all_that_services_have() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let pen = Pen::before([format!("alpha={a}"), format!("beta={b}")]).options("-r -b 9").start();
    does(&pen, "idle_timeout 5");
    does(&pen, "debug 1");
    let file = write(
        &pen,
        "wanted",
        &format!("# as it is to be\nroundrobin\nserver add gamma={c}\nserver add beta={b} max 4\npid\n"),
    );
    let diff = pen.control(&format!("diff {file}"));
    let lines: Vec<&str> = diff.lines().collect();
    assert_eq!(lines[..2], ["blacklist 30", "server 0 remove"], "{diff}");
    assert!(lines[2].starts_with("server 1 ") && lines[2].contains("max 4"), "{diff}");
    assert!(lines[3].starts_with("server 2 ") && lines[3].ends_with(" name gamma"), "{diff}");
    assert_eq!(lines[4..], ["idle_timeout 0"], "not debug, which is the process's; not the listener");
    does(&pen, &format!("apply {file}"));
    let mut got = [pen.ask(), pen.ask()];
    got.sort();
    assert_eq!(got, ["B", "C"]);
    assert_eq!(pen.control("debug"), "1\n");
}

#[test]
fn all_or_nothing() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let taken = free_port();
    let _held = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let server = format!("server 0 address 127.0.0.1 port {}\n", a.port());
    for (text, error) in [
        (format!("{server}hash\nbogus\n"), ":3: \"bogus\": no such command".to_owned()),
        (format!("{server}hash\nserver 0 weight x\n"), ":3: server 0: weight: want".into()),
        (format!("{server}hash\nserver beta max 3\n"), ":3: server beta: no such server".into()),
        (format!("{server}hash\nservice web\nlisten 127.0.0.1:{taken}\n"), "ddress already in use".into()),
        (format!("{server}hash\nservice web\nclients_from nobody\n"), "clients_from: ".into()),
        (
            format!("{server}hash\ngroup blue use\n"),
            "group blue: it is in use and would have no server".into(),
        ),
    ] {
        let file = write(&pen, "wrong", &text);
        let reply = pen.control(&format!("apply {file}"));
        assert!(reply.starts_with("error: ") && reply.contains(&error), "{text}: {reply}");
        assert!(pen.control("mode").starts_with("no hash "), "{text}");
        assert_eq!(pen.control("services").lines().count(), 1, "{text}");
    }
    let reply = pen.control("apply /nonexistent");
    assert!(reply.starts_with("error: apply: /nonexistent: "), "{reply}");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn what_only_the_start_can_change_is_a_remark() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).options("--threads 1").start();
    let file = pen.path("saved").display().to_string();
    does(&pen, &format!("write {file}"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}threads 3\n")).unwrap();
    let remark = "# threads 3: only at start: now 1\n";
    assert_eq!(pen.control(&format!("diff {file}")), remark);
    assert_eq!(pen.control(&format!("apply {file}")), remark);
}

/// After `apply` of the file of `-F` a reload knows what it has said.
#[test]
fn what_was_applied_of_the_configuration_file_is_taken_back_by_hup() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let first = format!("server 0 address 127.0.0.1 port {}\n", a.port());
    let pen = Pen::before::<&str>([]).config(&first).start();
    let second = format!("{first}server 1 address 127.0.0.1 port {} name beta\nblacklist 4\n", b.port());
    let file = write(&pen, "pen.conf", &second);
    does(&pen, &format!("apply {file}"));
    assert_eq!(pen.control("servers").lines().count(), 2);
    fs::write(&file, &first).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the second server to go", || pen.control("blacklist"), |got| got == "30\n");
    assert_eq!(pen.control("server beta max 3"), "error: server beta: no such server\n");
}

#[test]
fn a_community_is_made_that_of_the_file_and_what_is_shown_of_it_is_a_remark() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    does(&pen, "load snmp quiet");
    does(&pen, "server 0 max 7 load snmp quiet");
    let saved = pen.path("saved").display().to_string();
    does(&pen, &format!("write {saved}"));
    let text = pen.text("saved").replace("quiet", "hush").replace("max 7", "max 8");
    let file = write(&pen, "file", &text);
    let remark = |line: &str, way: &str| {
        format!("# {line}: the community is not shown: {way}say the line with the community\n")
    };
    let (of_service, forth) = ("load snmp v2c (hidden)", "apply the file, or ");
    let diff = pen.control(&format!("diff {file}"));
    let of_server = remark("server 0 max 8 load snmp v2c (hidden)", forth);
    assert_eq!(diff, format!("server 0 max 8\n{of_server}{}", remark(of_service, forth)));
    let back = pen.control(&format!("diff {file} reverse"));
    let of_server = remark("server 0 max 7 load snmp v2c (hidden)", "");
    assert_eq!(back, format!("server 0 max 7\n{of_server}{}", remark(of_service, "")));
    // What was shown can be carried out, all but the communities.
    let again = write(&pen, "again", &format!("timeout 9\n{diff}"));
    does(&pen, &format!("include {again}"));
    assert_eq!(pen.control("timeout"), "9\n");
    does(&pen, "timeout 3");
    let rest = "server 0 load snmp v2c (hidden)";
    assert_eq!(pen.control(&format!("diff {file}")), remark(rest, forth) + &remark(of_service, forth));
    let refused = "load: snmp: (hidden) stands for a community that is not shown: write the community\n";
    assert_eq!(pen.control(of_service), format!("error: {refused}"));
    let wrong = write(&pen, "wrong", &format!("timeout 9\n{of_service}\n"));
    for command in ["apply", "include"] {
        let reply = pen.control(&format!("{command} {wrong}"));
        assert!(reply.starts_with("error: ") && reply.ends_with(&format!("{wrong}:2: {refused}")), "{reply}");
    }
    assert_eq!(pen.control("timeout"), "3\n");
    // The file itself says it.
    assert_eq!(pen.control(&format!("apply {file}")), format!("{rest}\n{of_service}\n"));
    assert_eq!(pen.control(&format!("diff {file}")), "");
    does(&pen, &format!("write {saved}"));
    assert!(pen.text("saved").contains("load snmp v2c hush\n"), "{}", pen.text("saved"));
}
