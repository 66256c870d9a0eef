//! The units of `packaging/` and `contrib/` under a real systemd, in a container of its own (`tests/systemd/container`).

#[path = "../common/mod.rs"]
mod common;
mod container;

use common::backend::Backend;
use common::client::Client;
use common::network::Network;
use common::process::listening;
use common::wait::eventually;
use container::Container;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

const RESTARTS: usize = 20;
const LOADERS: usize = 4;

fn alone(network: &mut Network) -> Result<(), String> {
    network.add_host("box")
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn the_units_do_what_the_page_says() {
    if !container::is_possible() {
        return;
    }
    Network::inside("the_units_do_what_the_page_says", "box", alone, |_| {
        let container = Container::boot();
        let server = Backend::named("A");
        container.config("pen", 80, server.port());
        container.done("systemctl start pen");
        assert_eq!(Client::connect(at(80)).line(), "A");
        restarts_lose_no_connect(&container);
        a_refused_file_fails_the_reload(&container, server.port());
        a_stop_closes_the_port(&container);
        several_pens_leave_each_other_alone(&container, server.port());
        it_runs_in_a_jail(&container);
        a_name_that_nobody_knows_at_boot_is_tried_again(&container, server.port());
        octopus_is_served_by_its_units(&container, server.port());
        glb_is_served_by_its_unit(&container, server.port());
    });
}

/// Each client connects, is greeted, says something and hears it again.
fn restarts_lose_no_connect(container: &Container) {
    let (ends, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..LOADERS {
            scope.spawn(|| {
                while !ends.load(SeqCst) {
                    let mut client = Client::connect(at(80));
                    assert_eq!(client.line(), "A");
                    assert_eq!(client.exchange("hello"), "hello");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        for _ in 0..RESTARTS {
            let before = served.load(SeqCst);
            container.done("systemctl restart pen");
            eventually("clients to be served again", || served.load(SeqCst), |now| *now > before + 10);
        }
        ends.store(true, SeqCst);
    });
    // For clients, and for commands.
    assert_eq!(container.output("systemctl show pen -P NFileDescriptorStore").trim(), "2");
    // The journal is written by another process.
    let journal = || container.output("journalctl -u pen -o cat");
    let told = |journal: &String| journal.matches("draining: ").count() == RESTARTS;
    let journal = eventually("the journal to tell of all", journal, told);
    assert!(!journal.contains(" cut"), "{journal}");
    eprintln!("{} clients served over {RESTARTS} restarts, none refused", served.load(SeqCst));
}

fn a_refused_file_fails_the_reload(container: &Container, port: u16) {
    container.done("systemctl reload pen");
    container.done("echo nonsense >>/etc/pen/pen.conf");
    let refused = container.run("systemctl reload pen").unwrap_err();
    assert!(refused.contains("failed"), "{refused}");
    let journal = || container.output("journalctl -u pen -o cat -n 20");
    eventually("the line to be named", journal, |journal| journal.contains("pen.conf:4: "));
    assert_eq!(Client::connect(at(80)).line(), "A");
    container.config("pen", 80, port);
    container.done("systemctl reload pen");
    let status = container.output("systemctl show pen -P StatusText");
    assert!(status.starts_with("1 of 1 server up, "), "{status}");
    container.done("test \"$(journalctl -u pen -p err -o cat | grep -c 'no server is left')\" = 0");
}

fn a_stop_closes_the_port(container: &Container) {
    let mut client = Client::connect(at(80));
    assert_eq!(client.line(), "A");
    container.done("systemctl --no-block stop pen");
    eventually("the port to be closed", || listening(80), |open| !open);
    assert_eq!(client.exchange("still here"), "still here");
    assert_eq!(container.output("systemctl show pen -P ActiveState").trim(), "deactivating");
    drop(client);
    let state = || container.output("systemctl show pen -P ActiveState -P Result");
    eventually("the end", state, |state| {
        state.split_whitespace().eq(["success", "inactive"])
            || state.split_whitespace().eq(["inactive", "success"])
    });
    TcpStream::connect(at(80)).expect_err("nobody listens");
}

fn several_pens_leave_each_other_alone(container: &Container, port: u16) {
    container.config("a", 81, port);
    container.config("b", 82, port);
    container.done("systemctl start pen pen@a pen@b");
    for port in [80, 81, 82] {
        assert_eq!(Client::connect(at(port)).line(), "A");
    }
    container.done("systemctl stop pen pen@a && test ! -e /run/pen/a && test ! -e /run/pen/control");
    container.done(
        "penctl /run/pen/b/control status >/dev/null && systemctl reload pen@b && systemctl restart pen@b",
    );
    assert_eq!(Client::connect(at(82)).line(), "A");
    container.done("systemctl stop pen@b");
}

/// With the drop-in and the jail of the page.
fn it_runs_in_a_jail(container: &Container) {
    let page = include_str!("../../docs/systemd.md");
    let jail = page.split("## With -u and -j").nth(1).expect("the section");
    let blocks: Vec<&str> = jail.split("```").collect();
    let commands = blocks[1].strip_prefix("sh\n").expect("how to make the jail");
    container.done(commands);
    let drop_in = blocks[3];
    container.done(&format!(
        "mkdir -p /etc/systemd/system/pen.service.d && cat >/etc/systemd/system/pen.service.d/jail.conf <<'END'\n\
         {drop_in}\nEND\nsystemctl daemon-reload; systemctl start pen"
    ));
    assert_eq!(Client::connect(at(80)).line(), "A");
    container.done("systemctl reload pen && systemctl restart pen && systemctl reload pen");
    assert_eq!(Client::connect(at(80)).line(), "A");
    let user = "test \"$(stat -c %U /proc/$(systemctl show pen -P MainPID))\" = pen";
    container.done(user);
    container.done("systemctl stop pen; rm -r /etc/systemd/system/pen.service.d; systemctl daemon-reload");
}

fn a_name_that_nobody_knows_at_boot_is_tried_again(container: &Container, port: u16) {
    container.done(&format!(
        "printf 'listen 80\\nserver 0 address later.test port {port}\\n' >/etc/pen/pen.conf; ! systemctl start pen"
    ));
    container.done("echo 127.0.0.1 later.test >>/etc/hosts");
    let state = || container.output("systemctl show pen -P ActiveState");
    eventually("it to be started again", state, |state| state.trim() == "active");
    assert_eq!(Client::connect(at(80)).line(), "A");
}

/// One server of the plain unit, and two of the template, each with its file.
fn octopus_is_served_by_its_units(container: &Container, port: u16) {
    container.done("install -m 644 /contrib/octopus/*.service /etc/systemd/system/; systemctl daemon-reload; mkdir /etc/octopuslb");
    for (name, listen) in [("octopuslb", 91), ("a", 92), ("b", 93)] {
        container.done(&format!(
            "printf 'binding_ip=127.0.0.1\\nbinding_port={listen}\\nalgorithm=RR\\nshm_run_dir=/run/octopuslb\\n\
             log_file=/var/log/octopuslb/{name}.log\\n[web]\\nip=127.0.0.1\\nport={port}\\n[/]\\n' >/etc/octopuslb/{name}.conf"
        ));
    }
    container.done("systemctl start octopuslb octopuslb@a octopuslb@b");
    for listen in [91, 92, 93] {
        assert_eq!(Client::connect(at(listen)).line(), "A");
    }
    container.done("systemctl stop octopuslb@a; systemctl reload octopuslb octopuslb@b");
    TcpStream::connect(at(92)).expect_err("nobody listens");
    for listen in [91, 93] {
        assert_eq!(Client::connect(at(listen)).line(), "A");
    }
    container.done(
        "penctl /run/octopuslb/octopus-1.14-127.0.0.1-93 status >/dev/null; test -s /var/log/octopuslb/b.log",
    );
    container.done("systemctl stop octopuslb octopuslb@b");
}

/// With the file of variables of GLB's start script.
fn glb_is_served_by_its_unit(container: &Container, port: u16) {
    container.done(&format!(
        "ln -s /usr/local/bin/pen /usr/bin/pen; install -m 644 /contrib/glbd.service /etc/systemd/system/; systemctl daemon-reload; \
         printf 'LISTEN_ADDR=127.0.0.1:94\\nCONTROL_ADDR=127.0.0.1:95\\nDEFAULT_TARGETS=127.0.0.1:{port}\\n' >/etc/default/glbd"
    ));
    container.done("systemctl start glbd");
    assert_eq!(Client::connect(at(94)).line(), "A");
    let table = container
        .output("bash -c 'exec 3<>/dev/tcp/127.0.0.1/95; echo getinfo >&3; timeout 5 head -n 3 <&3'");
    assert!(table.contains("Router:"), "{table}");
    container.done("systemctl stop glbd");
}
