//! How long it takes to build pen from nothing: the README's first command up to the first answer, and a release build. With
//! crates that are there already, on all cores.

use super::measure::Bench;
use super::peers::{free_listener, spawn_on};
use pen_sys::clock;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A build that takes longer has stopped.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// A demo that runs answers much sooner.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the demo answers.
const LOOK_MS: u64 = 50;

impl Bench<'_> {
    /// Seconds from `cargo demo` to its first answer; seconds for `cargo build --release`.
    pub fn builds(&self) -> io::Result<Vec<f64>> {
        let target = self.directory.join("target");
        let times = [self.first_answer(&target), self.release(&target)];
        fs::remove_dir_all(&target)?;
        times.into_iter().map(|time| Ok(time?.as_secs_f64())).collect()
    }

    fn first_answer(&self, target: &Path) -> io::Result<Duration> {
        let address = free_listener()?.local_addr()?;
        let start = clock::now();
        let mut demo = self.cargo(target, &["demo", "--", &address.to_string()])?;
        while !answers(address) {
            if let Some(status) = demo.try_wait()? {
                return Err(io::Error::other(format!("cargo demo: {status}")));
            }
            if start.elapsed() > PATIENCE {
                break;
            }
            clock::wait_ms(LOOK_MS);
        }
        let time = start.elapsed();
        // What cargo runs takes its place.
        demo.kill()?;
        demo.wait()?;
        if time > PATIENCE { Err(io::ErrorKind::TimedOut.into()) } else { Ok(time) }
    }

    fn release(&self, target: &Path) -> io::Result<Duration> {
        let start = clock::now();
        let status = self.cargo(target, &["build", "--release"])?.wait()?;
        match status.success() {
            true => Ok(start.elapsed()),
            false => Err(io::Error::other(format!("cargo build --release: {status}"))),
        }
    }

    fn cargo(&self, target: &Path, words: &[&str]) -> io::Result<Child> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = Command::new(program);
        cargo.args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
        cargo.stdin(Stdio::null()).stdout(Stdio::null());
        spawn_on(&mut cargo, &self.all_cores)
    }
}

/// Whether the demo does; an answer comes in one piece.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = [0; 1024];
        let count = stream.read(&mut answer)?;
        io::Result::Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
    };
    ask().is_ok_and(|answer| answer.contains("This is server"))
}
