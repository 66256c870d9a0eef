//! What the tests of the library share: the library itself, and servers.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::SystemTime;

#[allow(dead_code, reason = "each test target uses its part")]
#[path = "../../../tests/common/ports.rs"]
pub mod ports;

/// The library, which cargo does not build for a test: built if it is older than its sources.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let library = test.parent().unwrap().parent().unwrap().join("libpen.so");
        let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
        let crates = ["preload", "checks", "core", "proto", "sys"];
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        if modified(&library)
            < crates.map(|name| newest(&root.join(name).join("src"))).into_iter().max().flatten()
        {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "pen-preload", "--target-dir"]);
            let target = library.parent().unwrap().parent().unwrap();
            assert!(cargo.arg(target).status().unwrap().success(), "{cargo:?}");
        }
        library
    })
}

/// When something below was changed last.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let modified = |path: PathBuf| match path.is_dir() {
        true => newest(&path),
        false => Some(fs::metadata(path).unwrap().modified().unwrap()),
    };
    entries.filter_map(modified).max()
}

pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Accepts, says its name, and ends the connection.
pub fn server(name: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            // A client that left is its own business.
            let _: Result<(), _> = client.and_then(|mut client: TcpStream| client.write_all(name.as_bytes()));
        }
    });
    port
}

/// A port at which nobody listens, as long as this is held.
pub struct Refusing {
    pub port: u16,
    _socket: OwnedFd,
}

impl Refusing {
    pub fn new() -> Refusing {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let address: SockaddrIn = getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket)).unwrap();
        Refusing { port: address.port(), _socket: socket }
    }
}
