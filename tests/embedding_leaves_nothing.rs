//! A balancer that has ended has left no thread and no descriptor in the program around it. The only test of its process, for
//! it counts what the process has.

mod common;
use common::backend::Backend;
use common::client::Client;
use common::tempdir::TempDir;
use common::wait::eventually;
use pen::{Balancer, Service};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn entries(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let told = |path: &Path| {
        let target = fs::read_link(path).map(|target| target.display().to_string());
        target.or_else(|_| fs::read_to_string(path.join("comm"))).unwrap_or_default()
    };
    let mut told: Vec<String> = entries.map(|path| told(&path)).collect();
    told.sort();
    told
}

/// Threads and descriptors, in words.
fn possessions() -> (Vec<String>, Vec<String>) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

fn start(server: &Backend, directory: &Path) -> Result<Balancer, pen::Error> {
    let (control, log) = (directory.join("control"), directory.join("log"));
    let web = Service::new("web")
        .listen("127.0.0.1:0")
        .listen(directory.join("web").display())
        .command(format!("log {}", log.display()))
        .command("check connect")
        .command("idlers 2")
        .server(server.address())
        .server(format!("localhost:{}", server.port()));
    let program =
        Service::new("program").command("check exec /bin/cat").server(server.address()).listen("127.0.0.1:0");
    let udp = Service::new("udp").command("udp").listen("127.0.0.1:0").server("127.0.0.1:9");
    let metrics = common::ports::free_port();
    Balancer::builder()
        .command(format!("threads 3\nmetrics_listen 127.0.0.1:{metrics}"))
        .control(control.display())
        .service(web)
        .service(program)
        .service(udp)
        .start()
}

#[test]
fn no_thread_and_no_descriptor_is_left() {
    let (server, directory) = (Backend::named("one"), TempDir::new());
    let before = possessions();
    for round in 0..3 {
        let balancer = start(&server, directory.path()).unwrap();
        let place = balancer.service("web").addresses().unwrap()[0];
        let mut client = Client::connect(place);
        assert_eq!(client.line(), "one");
        assert!(possessions().0.len() >= before.0.len() + 5, "{:?}", possessions());
        assert!(start(&server, directory.path()).is_err(), "the control socket is in use");
        let client = Some(client).filter(|_| round < 2);
        match round {
            0 => drop(balancer),
            1 => balancer.stop().unwrap(),
            _ => balancer.drain(Duration::from_secs(30)).unwrap(),
        }
        drop(client);
        // Threads of the server end when their connections have; a thread is listed for a moment after it was joined.
        eventually(&format!("all is as {before:?}"), possessions, |now| *now == before);
    }
}
