//! TLS, tried as clients and servers use it: a real pen, certificates made for each test, and peers that keep the rules
//! (rustls), break them (bytes by hand), or are what people have (openssl, curl, testssl.sh; see `programs.rs`).

#[path = "../common/mod.rs"]
mod common;

mod agreed;
mod certificates;
mod clones;
mod crowd;
mod ends;
mod files;
mod hostile;
mod identity;
mod names;
mod peers;
mod programs;
mod proxy;
mod reload;
mod routing;
mod servers;
mod service;
mod shared_clients;
mod staple;
mod strange;
mod words;
mod workshop;

/// On a busy machine a handshake with a server may take longer than pen waits by default.
const PATIENT: &str = "-t 20";
