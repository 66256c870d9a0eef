//! Somebody who reads the metrics of a program once a second, as a Prometheus does.

use pen_sys::clock;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// From one look whether it is to go on to the next.
const LOOK_MS: u64 = 50;
const LOOKS_PER_READ: usize = 20;

/// Reads until it is dropped.
pub struct Reader {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub fn begin(address: SocketAddrV4) -> Reader {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let work = move || {
            while !told.load(Ordering::Relaxed) {
                if let Err(error) = read(address) {
                    eprintln!("metrics: {error}");
                }
                let is_over = |_: &usize| told.load(Ordering::Relaxed);
                (0..LOOKS_PER_READ).take_while(|look| !is_over(look)).for_each(|_| clock::wait_ms(LOOK_MS));
            }
        };
        Reader { is_over, thread: Some(std::thread::spawn(work)) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn read(address: SocketAddrV4) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    match page.contains("pen_") {
        true => Ok(()),
        false => Err(io::Error::other(page)),
    }
}
