//! What a program brings along: policies, checks, and a hook for events.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::wait::{eventually, received};
use crate::{address, web};
use pen::{
    Balancer, Check, CheckedServer, Choice, ErrorKind, EventKind, Policy, ServerState, Service, Verdict,
};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Chooses what it is told to choose, and tells what it saw.
struct Told(Arc<Mutex<Option<usize>>>, Sender<Vec<usize>>);

impl Policy for Told {
    fn choose(&mut self, choice: &Choice<'_>) -> Option<usize> {
        assert!(choice.client().is_some());
        let _ = self.1.send(choice.candidates().map(|server| server.number).collect());
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_policy_chooses_among_those_that_may_be_chosen() {
    let servers = ["zero", "one", "two"].map(Backend::named);
    let (wish, (sender, seen)) = (Arc::new(Mutex::new(Some(2))), channel());
    let service = web(&servers.each_ref()).command("roundrobin").policy(Told(wish.clone(), sender));
    let balancer = Balancer::builder().service(service).start().unwrap();
    let ask = || Client::connect(address(&balancer)).line();
    assert_eq!([ask(), ask()], ["two", "two"]);
    assert_eq!(received(&seen), [0, 1, 2]);
    // Other settings, and another built-in policy, leave it in force.
    balancer.command("policy least_conn").unwrap();
    *wish.lock().unwrap() = Some(1);
    assert_eq!(ask(), "one");
    // Who may not be chosen is not shown, and not chosen.
    balancer.service("web").drain(1, None).unwrap();
    let others = ask();
    assert!(["zero", "two"].contains(&others.as_str()), "{others}");
    assert_eq!(seen.try_iter().last().unwrap(), [0, 2]);
    // Without an opinion pen chooses.
    *wish.lock().unwrap() = None;
    assert!(["zero", "two"].contains(&ask().as_str()));
    servers[2].pause();
    *wish.lock().unwrap() = Some(2);
    assert_eq!(ask(), "zero", "the next one when it fails");
}

struct Panics;

impl Policy for Panics {
    fn choose(&mut self, _: &Choice<'_>) -> Option<usize> {
        std::panic::resume_unwind(Box::new("not told by the panic hook"));
    }
}

impl Check for Panics {
    fn check(&self, _: &CheckedServer) -> Verdict {
        std::panic::resume_unwind(Box::new("not told by the panic hook"));
    }
}

#[test]
fn what_panics_costs_no_client_its_connection() {
    let server = Backend::named("one");
    let (sender, said) = channel();
    let sender = Mutex::new(sender);
    let builder = Balancer::builder()
        .service(web(&[&server]).policy(Panics))
        .messages(move |_, text| _ = sender.lock().unwrap().send(text.to_owned()))
        .events(|_| std::panic::resume_unwind(Box::new("not told by the panic hook")));
    let balancer = builder.start().unwrap();
    assert_eq!(Client::connect(address(&balancer)).line(), "one");
    let texts = [received(&said), received(&said)];
    assert_eq!(texts[0], "the program's policy has panicked; the one of pen chooses");
    assert_eq!(texts[1], "the program's hook for events has panicked");
}

struct Switch(Arc<AtomicBool>);

impl Check for Switch {
    fn check(&self, server: &CheckedServer) -> Verdict {
        assert_eq!(server.timeout, Duration::from_secs(1));
        match self.0.load(Ordering::Relaxed) {
            true => Verdict::Up,
            false => Verdict::Down(format!("{} is switched off", server.address)),
        }
    }
}

#[test]
fn a_check_takes_a_server_out_and_brings_it_back() {
    let server = Backend::named("one");
    let is_on = Arc::new(AtomicBool::new(true));
    let service = web(&[&server]).check(Switch(is_on.clone())).command("check_interval 0.01");
    let balancer = Balancer::builder().service(service).start().unwrap();
    let look = || balancer.service("web").servers().unwrap().remove(0);
    is_on.store(false, Ordering::Relaxed);
    let down = eventually("it is down", look, |server| server.state == ServerState::Down);
    assert_eq!(down.reason, Some(format!("{} is switched off", server.address())));
    is_on.store(true, Ordering::Relaxed);
    eventually("it is up", look, |server| server.state == ServerState::Up);
    // Another check takes its place, and gives it back.
    is_on.store(false, Ordering::Relaxed);
    eventually("it is down", look, |server| server.state == ServerState::Down);
    balancer.command("check connect").unwrap();
    eventually("it is up", look, |server| server.state == ServerState::Up);
    balancer.command("check dummy").unwrap();
    eventually("it is down", look, |server| server.state == ServerState::Down);
}

#[test]
fn a_check_that_panics_or_is_late_has_failed() {
    struct Late(Mutex<std::sync::mpsc::Receiver<()>>);
    impl Check for Late {
        fn check(&self, _: &CheckedServer) -> Verdict {
            // Until the test is over.
            let _ = self.0.lock().unwrap().recv();
            Verdict::Up
        }
    }
    let server = Backend::named("one");
    let (end, over) = channel();
    let late = web(&[&server])
        .check(Late(Mutex::new(over)))
        .command("check_timeout 0.01")
        .command("check_interval 0.01");
    let panics = Service::new("panics").listen("127.0.0.1:0").server(server.address()).check(Panics);
    let balancer =
        Balancer::builder().service(late).service(panics.command("check_interval 0.01")).start().unwrap();
    for (service, reason) in [("web", "no verdict in time"), ("panics", "the check has panicked")] {
        let look = || balancer.service(service).servers().unwrap().remove(0);
        let down = eventually("it is down", look, |server| server.state == ServerState::Down);
        assert_eq!(down.reason.as_deref(), Some(reason));
    }
    drop(end);
}

#[test]
fn a_hook_hears_the_life_of_connections() {
    let (gone, alive) = (Backend::refusing("gone"), Backend::named("alive"));
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let builder = Balancer::builder().service(web(&[&alive, &gone]));
    let balancer = builder
        .events(move |event| {
            let told =
                (event.kind, event.client, event.server, event.server_address, event.service.to_owned());
            let _ = sender.lock().unwrap().send(told);
        })
        .start()
        .unwrap();
    let mut client = Client::connect(address(&balancer));
    assert_eq!(client.line(), "alive");
    client.send("1234\n");
    assert_eq!(client.line(), "1234");
    let local = client.local();
    drop(client);
    let mut kinds = Vec::new();
    loop {
        let (kind, who, server, place, service) = received(&events);
        assert_eq!((who, service.as_str()), (Some(local), "web"));
        let expected = if server == Some(0) { alive.address() } else { gone.address() };
        assert_eq!(place, Some(expected));
        match kind {
            EventKind::Closed { up_bytes, down_bytes, reason, duration, .. } => {
                assert_eq!((up_bytes, down_bytes, reason), (5, 11, "finished"));
                assert!(duration < Duration::from_secs(60));
                break;
            }
            kind => kinds.push((kind, server)),
        }
    }
    // As in Pen, the second server is asked first.
    let (other, own) = (Some(1), Some(0));
    assert_eq!(
        kinds,
        [
            (EventKind::Chosen, other),
            (EventKind::Failed, other),
            (EventKind::Chosen, own),
            (EventKind::Connected, own)
        ]
    );
}

#[test]
fn a_hook_hears_of_udp_sessions_and_may_not_wait_for_the_balancer() {
    let names = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let balancer: Arc<Mutex<Option<Arc<Balancer>>>> = Arc::default();
    let theirs = balancer.clone();
    let service =
        Service::new("udp").command("udp").listen("127.0.0.1:0").server(names.local_addr().unwrap());
    let builder = Balancer::builder().service(service).events(move |event| {
        let refusal =
            theirs.lock().unwrap().as_ref().map(|balancer| balancer.command("pid").unwrap_err().kind());
        let _ = sender.lock().unwrap().send((event.kind, event.server, refusal));
    });
    *balancer.lock().unwrap() = Some(Arc::new(builder.start().unwrap()));
    let place = balancer.lock().unwrap().as_ref().unwrap().service("udp").addresses().unwrap()[0];
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"question", place).unwrap();
    assert_eq!(received(&events), (EventKind::Chosen, Some(0), Some(ErrorKind::OwnThread)));
    let mut bytes = [0; 64];
    let (length, from) = names.recv_from(&mut bytes).unwrap();
    names.send_to(&bytes[..length], from).unwrap();
    assert_eq!(received(&events).0, EventKind::Connected);
    let ended = balancer.lock().unwrap().take();
    drop(ended);
    let (kind, server, _) = received(&events);
    assert_eq!(server, Some(0));
    assert!(matches!(kind, EventKind::Closed { up_bytes: 8, reason: "shutdown", .. }), "{kind:?}");
}
