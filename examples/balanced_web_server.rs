//! A web server that balances itself: several instances on ports of their own, and a balancer before them, in one program.
//! Each instance can be taken out of service and replaced while clients are served.
//!
//! `cargo run --example balanced_web_server`

use pen::{Balancer, Server, Service};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Serves a page that tells which version it is, until the program ends.
fn serve(version: &'static str) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || answer(client, version));
        }
    });
    Ok(address)
}

fn answer(mut client: TcpStream, version: &str) -> std::io::Result<()> {
    let request = BufReader::new(client.try_clone()?);
    // The head of the request is all that is needed.
    request.lines().map_while(Result::ok).find(String::is_empty);
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{version}",
        version.len()
    )
}

/// The body of the page at this address.
fn fetch(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let web = Service::new("web")
        .listen("127.0.0.1:0")
        .server(Server::new(serve("version 1")?).name("old"))
        .command("check http /");
    let balancer = Balancer::builder()
        .messages(|severity, text| eprintln!("{severity:?}: {text}"))
        .service(web)
        .start()?;
    let web = balancer.service("web");
    let address = web.addresses()?[0];
    println!("{address} shows {}", fetch(address)?);

    // A new version takes over: it joins, the old one gets no new client and leaves when its last one has.
    web.add(Server::new(serve("version 2")?).name("new"))?;
    web.drain("old", None)?;
    let page = fetch(address)?;
    println!("{address} shows {page}");
    assert_eq!(page, "version 2");
    web.remove("old")?;

    balancer.stop()?;
    Ok(())
}
