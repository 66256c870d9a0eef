//! Commands that want more memory than there is: each is an error, and pen serves on as it was.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::process::status_field;
use std::fs;
use std::process::Command;

/// Lets pen have so much address space more than it has now.
fn leave_memory(pen: &Pen, more_mib: u64) {
    let size = status_field(pen.pid(), "VmSize");
    let kib: u64 = size.split(' ').next().unwrap().parse().unwrap();
    let limit = format!("--as={}", (kib << 10) + (more_mib << 20));
    assert!(
        Command::new("prlimit").args(["--pid", &pen.pid().to_string(), &limit]).status().unwrap().success()
    );
}

#[test]
fn a_client_table_that_does_not_fit_is_refused() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    // More than the allocator sets aside for each thread of pen, and less than ten million clients need.
    leave_memory(&pen, 256);
    let reply = pen.control("clients_max 10000000");
    assert_eq!(reply, "error: clients_max: no memory for 10000000 clients\n");
    let file = pen.path("commands");
    fs::write(&file, "blacklist 7\nclients_max 10000000\n").unwrap();
    assert!(pen.control(&format!("include {}", file.display())).contains("no memory"));
    assert_eq!((pen.control("clients_max"), pen.control("blacklist")), ("2048\n".into(), "30\n".into()));
    assert_eq!(pen.control("clients_max 4096"), "4096\n", "what fits is taken");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn a_client_table_that_does_not_fit_at_start_is_told() {
    let ended = Pen::before(["127.0.0.1:1"]).through("prlimit --as=400000000").options("-c 10000000").run();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "pen: clients_max: no memory for 10000000 clients\n")
    );
}

#[test]
fn a_list_that_does_not_fit_is_refused() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let file = pen.path("list");
    let lines: String =
        (0..300_000).map(|n| format!("acl 1 deny 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)).collect();
    fs::write(&file, format!("client_acl 1\n{lines}")).unwrap();
    leave_memory(&pen, 24);
    let reply = pen.control(&format!("include {}", file.display()));
    assert!(reply.starts_with("error: ") && reply.contains("memory"), "{reply}");
    assert_eq!((pen.control("client_acl"), pen.ask()), ("0\n".into(), "A".into()));
}
