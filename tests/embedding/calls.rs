//! What a program says to a balancer that runs.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::wait::eventually;
use crate::{address, web};
use pen::{Balancer, ErrorKind, Server, ServerState, Service};
use std::time::Duration;

#[test]
fn typed_calls_and_lines_are_one_language() {
    let (blue, green) = (Backend::named("blue"), Backend::named("green"));
    let balancer = Balancer::builder().service(web(&[&blue])).start().unwrap();
    let web = balancer.service("web");
    assert_eq!(Client::connect(address(&balancer)).line(), "blue");

    let added = Server::new(green.address()).name("green").weight(0.5).keys("max 7");
    assert_eq!(web.add(added).unwrap(), 1);
    let listed = balancer.command("servers").unwrap();
    assert!(
        listed.contains(&format!("{} connect", green.port())) || listed.contains(&green.port().to_string())
    );
    web.command("server 0 name blue").unwrap();
    web.drain("blue", Some(Duration::from_secs(60))).unwrap();
    assert_eq!(Client::connect(address(&balancer)).line(), "green");
    web.set_weight("green", 2.25).unwrap();

    let servers = web.servers().unwrap();
    assert_eq!((servers[0].state, servers[0].name.as_deref()), (ServerState::Draining, Some("blue")));
    assert_eq!(servers[0].address, blue.address().to_string());
    assert_eq!((servers[1].state, servers[1].weight, servers[1].number), (ServerState::Up, 2.25, 1));
    assert_eq!(servers[1].state.to_string(), "up");

    web.enable("blue").unwrap();
    web.disable(1).unwrap();
    let state = |name: &str| {
        let servers = web.servers().unwrap();
        servers.iter().find(|server| server.name.as_deref() == Some(name)).map(|server| server.state)
    };
    assert_eq!((state("blue"), state("green")), (Some(ServerState::Up), Some(ServerState::Disabled)));
    web.remove("green").unwrap();
    eventually("green is gone", || state("green"), Option::is_none);
}

#[test]
fn names_are_looked_up_and_what_is_wrong_changes_nothing() {
    let server = Backend::named("one");
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    let web = balancer.service("web");
    web.add(format!("local=localhost:{}", server.port())).unwrap();
    let before = balancer.command("servers json").unwrap();
    for (line, word) in [
        ("server local weight x", "weight"),
        ("no_such_command", "no_such_command"),
        ("service other timeout 3", "no such service"),
        ("service web", "want a command"),
        ("session", "control socket"),
        ("abort_on_error", "abort_on_error: not in a balancer"),
        ("messages /dev/null", "messages: not in a balancer"),
        ("server add name.invalid:80", "name.invalid"),
    ] {
        let error = balancer.command(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{line}");
        assert!(error.to_string().contains(word), "{line}: {error}");
    }
    for error in [
        web.drain("nobody", None).unwrap_err(),
        web.set_weight("local", -1.0).unwrap_err(),
        web.add("local=127.0.0.1:1").unwrap_err(),
        web.remove("no name").unwrap_err(),
        balancer.service("other").servers().unwrap_err(),
        balancer.service("not a name").enable(0).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
    assert_eq!(balancer.command("servers json").unwrap(), before);
    assert_eq!(balancer.services().unwrap(), ["web"]);
}

#[test]
fn several_balancers_know_nothing_of_each_other() {
    let (one, other) = (Backend::named("one"), Backend::named("other"));
    let first = Balancer::builder().service(web(&[&one])).start().unwrap();
    let second = Balancer::builder().command("debug 3").service(web(&[&other])).start().unwrap();
    assert_ne!(address(&first), address(&second));
    second.command("timeout 17").unwrap();
    assert_ne!(first.command("timeout").unwrap(), "17\n");
    assert_eq!(first.command("debug").unwrap(), "0\n");
    assert_eq!(Client::connect(address(&first)).line(), "one");
    assert_eq!(Client::connect(address(&second)).line(), "other");
    second.stop().unwrap();
    assert_eq!(Client::connect(address(&first)).line(), "one");
}

#[test]
fn threads_share_a_balancer() {
    let server = Backend::named("one");
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let balancer = &balancer;
            scope.spawn(move || {
                let name = format!("s{number}");
                let web = balancer.service("web");
                web.add(Server::new("127.0.0.1:9").name(&name)).unwrap();
                web.set_weight(&name, 3.0).unwrap();
            });
        }
    });
    let servers = balancer.service("web").servers().unwrap();
    assert_eq!(servers.iter().filter(|server| server.weight == 3.0).count(), 8);
}

#[test]
fn a_service_may_be_made_while_others_serve() {
    let server = Backend::named("late");
    let first = Service::new("first").listen("127.0.0.1:0").server("127.0.0.1:9");
    let balancer = Balancer::builder().service(first).start().unwrap();
    balancer.command("service add late").unwrap();
    let late = balancer.service("late");
    late.add(server.address()).unwrap();
    let port = crate::common::ports::free_port();
    late.command(&format!("listen 127.0.0.1:{port}")).unwrap();
    assert_eq!(Client::connect(late.addresses().unwrap()[0]).line(), "late");
    assert_eq!(balancer.services().unwrap(), ["first", "late"]);
}

#[test]
fn a_connection_counts_once_while_it_ends() {
    let server = Backend::named("one");
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    for count in 1..=100 {
        assert_eq!(Client::connect(address(&balancer)).line(), "one");
        // Its end is seen while this asks, or before, or after.
        let servers = balancer.service("web").servers().unwrap();
        assert_eq!(servers[0].connections_total, count);
    }
}
