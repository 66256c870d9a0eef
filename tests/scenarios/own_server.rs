//! A pen that would be its own server is told so, and does not do it.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;

const TOLD: &str = "is where pen itself listens";

#[test]
fn it_does_not_start_as_its_own_server() {
    let port = free_port();
    let ended = |listen: String, server: &str, options: &str| {
        let start = Pen::before([server]).listen(&listen).options(options).options("-f");
        let ended = start.run();
        assert_eq!(ended.code, Some(1), "{listen} {server}: {ended:?}");
        ended.stderr
    };
    for (listen, server) in [
        // A forgotten port.
        (format!("{port}"), "127.0.0.1"),
        (format!("127.0.0.1:{port}"), "127.0.0.1"),
        (format!("[::]:{port}"), "127.0.0.9"),
    ] {
        for options in ["", "-U"] {
            let said = ended(listen.clone(), server, options);
            let told = format!("pen: server 0: {server} port {port} {TOLD}");
            assert!(said.contains(&told), "{said}");
        }
    }
    let said = ended(format!("{port}"), "127.0.0.1:1", &format!("-e 127.0.0.1:{port}"));
    assert!(said.contains(&format!("-e: 127.0.0.1 port {port} {TOLD}")), "{said}");
    let said = ended("/tmp/pen-own-server".to_string(), "/tmp/pen-own-server", "");
    assert!(said.contains("/tmp/pen-own-server is where pen itself listens"), "{said}");
}

#[test]
fn it_does_not_become_its_own_server() {
    let server = Backend::named("A");
    let port = free_port();
    let pen = Pen::before([&server]).listen(format!("0.0.0.0:{port}")).start();
    for (command, name) in [
        (format!("server 0 port {port}"), "server 0"),
        (format!("server 1 address 127.0.0.1 port {port}"), "server 1"),
        (format!("listen 127.0.0.1:{}", server.port()), "server 0"),
    ] {
        let reply = pen.control(&command);
        assert!(
            reply.starts_with(&format!("error: {name}: 127.0.0.1 port ")) && reply.contains(TOLD),
            "{reply}"
        );
    }
    assert_eq!(pen.control("listen"), format!("0.0.0.0:{port}\n"));
    assert_eq!(crate::common::client::Client::connect(([127, 0, 0, 1], port).into()).line(), "A");
}
