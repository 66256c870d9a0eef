//! What a program says before the start.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::ports::bound_port;
use crate::common::tempdir::TempDir;
use crate::common::wait::{eventually, received};
use crate::{address, web};
use pen::{Balancer, Builder, ErrorKind, Service, Severity};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn services_of_both_kinds_get_free_ports() {
    let server = Backend::named("tcp");
    let names = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = Service::new("udp").command("udp").listen("127.0.0.1:0").server(names.local_addr().unwrap());
    let balancer =
        Balancer::builder().command("threads 2").service(web(&[&server])).service(udp).start().unwrap();
    assert_eq!(Client::connect(address(&balancer)).line(), "tcp");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.send_to(b"question", balancer.service("udp").addresses().unwrap()[0]).unwrap();
    let mut bytes = [0; 64];
    let (length, from) = names.recv_from(&mut bytes).unwrap();
    names.send_to(&bytes[..length], from).unwrap();
    assert_eq!(client.recv(&mut bytes).unwrap(), length);
    let written = balancer.command("service web listen").unwrap();
    assert_eq!(written.trim(), address(&balancer).to_string(), "the real port");
}

#[test]
fn sockets_of_the_program_are_listened_on() {
    let (server, directory) = (Backend::named("one"), TempDir::new());
    let socket = bound_port();
    let (place, path) = (socket.local_addr().unwrap(), directory.join("socket"));
    let service = Service::new("web").listen_on(socket).listen_on(UnixListener::bind(&path).unwrap());
    let balancer = Balancer::builder().service(service.server(server.address())).start().unwrap();
    assert_eq!(address(&balancer), place);
    assert_eq!(Client::connect(place).line(), "one");
    let mut bytes = [0; 4];
    UnixStream::connect(&path).unwrap().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"one\n");
    drop(balancer);
    assert!(!path.exists());
    TcpListener::bind(place).expect("the port is free");
}

#[test]
fn a_text_of_commands_makes_services_too() {
    let server = Backend::named("one");
    let port = crate::common::ports::free_port();
    let text = format!("threads 1\nservice web\n# a remark\nlisten 127.0.0.1:{port}\nserver add {server}\n");
    let balancer = Balancer::builder().command(text).start().unwrap();
    assert_eq!(Client::connect(address(&balancer)).line(), "one");
    assert_eq!(balancer.command("threads").unwrap(), "1\n");
}

#[test]
fn a_file_is_read_and_read_again() {
    let (server, directory) = (Backend::named("one"), TempDir::new());
    let file = directory.join("pen.conf");
    std::fs::write(&file, "service web\ntimeout 7\n").unwrap();
    let start = || Balancer::builder().service(web(&[&server])).config_file(&file).start();
    let balancer = start().unwrap();
    assert_eq!(balancer.command("timeout").unwrap(), "7\n");
    std::fs::write(&file, "service web\ntimeout 8\n").unwrap();
    balancer.command("reload").unwrap();
    assert_eq!(balancer.command("timeout").unwrap(), "8\n");
    assert_eq!(Client::connect(address(&balancer)).line(), "one");
    std::fs::write(&file, "service web\n\ntimeout x\n").unwrap();
    for error in [balancer.command("reload").unwrap_err(), start().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("pen.conf:3: timeout: "), "{error}");
    }
    assert_eq!(balancer.command("timeout").unwrap(), "8\n");
}

#[test]
fn mistakes_are_told_and_leave_nothing_open() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let service = || Service::new("web").listen("127.0.0.1:0").server("127.0.0.1:9");
    let builder = Balancer::builder;
    let refused: [(Builder, &str); 11] = [
        (builder(), "want a service"),
        (builder().service(Service::new("not a name")), "want a name"),
        (builder().service(service()).service(service()), "web is there already"),
        (builder().service(service().listen("127.0.0.1:x")), "listen: port: want 1..65535"),
        (builder().service(service().server("127.0.0.1:0")), "port: want 1..65535"),
        (builder().service(service().command("timeout x")), "timeout: want"),
        (builder().service(service().command("service other")), "want a line for this service"),
        (builder().command("timeout 3\nnonsense"), "nonsense"),
        (builder().command("abort_on_error").service(service()), "abort_on_error"),
        (
            builder().service(service().listen_on(UdpSocket::bind("127.0.0.1:0").unwrap())),
            "want a stream socket",
        ),
        (builder().service(service().server("name.invalid:80")), "name.invalid"),
    ];
    for (builder, text) in refused {
        let error = builder.start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
    let error = builder().service(service().listen(taken)).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert_eq!(error.to_string(), format!("service web: {taken}: address already in use"));
}

#[test]
fn messages_go_to_whom_the_program_names_and_to_nobody_else() {
    let (sender, said) = channel();
    let sender = Mutex::new(sender);
    let hear = move |severity, text: &str| {
        let _ = sender.lock().unwrap().send((severity, text.to_owned()));
    };
    let refusing = Backend::refusing("gone");
    let balancer = Balancer::builder().messages(hear).service(web(&[&refusing])).start().unwrap();
    assert_eq!(Client::connect(address(&balancer)).try_line(), None);
    let (severity, text) = received(&said);
    assert_eq!(severity, Severity::Warning);
    assert!(text.starts_with("service web: Connect failed: connection refused"), "{text}");
    balancer.command("debug 1").unwrap();
    balancer.command("pid").unwrap();
    eventually(
        "a message of debug",
        || received(&said),
        |(severity, text)| *severity == Severity::Debug && text == "control: pid",
    );
}

#[test]
fn the_doors_of_pen_may_be_opened_too() {
    let (server, directory) = (Backend::named("one"), TempDir::new());
    let control = directory.join("control");
    let builder = Balancer::builder().control(control.display());
    let balancer = builder.service(web(&[&server])).start().unwrap();
    let mut client = UnixStream::connect(&control).unwrap();
    client.write_all(b"servers\n").unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, balancer.command("servers").unwrap());
    drop(balancer);
    assert!(!control.exists());
}
