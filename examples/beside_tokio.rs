//! A balancer in a program that uses tokio: servers and clients are tasks, clients of the balancer are served by its own
//! threads. Calls that wait are made where a task may wait, and events come through a channel.
//!
//! `cargo run --example beside_tokio`

use pen::{Balancer, EventKind, Server, Service};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

type Failure = Box<dyn Error + Send + Sync>;

/// Starts a server that tells its name, and returns its address.
async fn serve(name: &'static str) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move { client.write_all(name.as_bytes()).await });
        }
    });
    Ok(address)
}

/// What a client gets at this address.
async fn fetch(address: SocketAddr) -> std::io::Result<String> {
    let mut text = String::new();
    TcpStream::connect(address).await?.read_to_string(&mut text).await?;
    Ok(text)
}

/// Makes a call that waits, on a thread that may wait: the tasks of the runtime go on meanwhile.
async fn call<T: Send + 'static>(
    balancer: &Arc<Balancer>,
    call: impl FnOnce(&Balancer) -> Result<T, pen::Error> + Send + 'static,
) -> Result<T, Failure> {
    let balancer = balancer.clone();
    Ok(spawn_blocking(move || call(&balancer)).await??)
}

async fn run() -> Result<(), Failure> {
    let (sender, mut ended) = mpsc::channel(100);
    let web = Service::new("web")
        .listen("127.0.0.1:0")
        .server(Server::new(serve("blue").await?).name("blue"))
        .server(Server::new(serve("green").await?).name("green"))
        .command("roundrobin");
    let builder = Balancer::builder().service(web).events(move |event| {
        if let EventKind::Closed { down_bytes, .. } = event.kind {
            // When nobody reads fast enough, the news is lost, and no client waits.
            let _ = sender.try_send(down_bytes);
        }
    });
    let balancer = Arc::new(spawn_blocking(|| builder.start()).await??);
    let address = call(&balancer, |balancer| balancer.service("web").addresses()).await?[0];

    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(fetch(address));
    }
    let mut pages = Vec::new();
    while let Some(page) = clients.join_next().await {
        pages.push(page??);
    }
    pages.sort();
    println!("{address} shows {}", pages.join(", "));
    assert_eq!(pages, ["blue", "blue", "green", "green"]);
    for _ in 0..4 {
        let bytes = ended.recv().await.ok_or("the balancer has ended")?;
        println!("a connection has ended after {bytes} bytes");
    }

    call(&balancer, |balancer| balancer.service("web").drain("blue", None)).await?;
    assert_eq!(fetch(address).await?, "green");

    let balancer = Arc::into_inner(balancer).ok_or("somebody still uses the balancer")?;
    spawn_blocking(|| balancer.drain(Duration::from_secs(5))).await??;
    Ok(())
}

/// Runs the example on one thread, which nothing may block.
pub fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(run())
}
