//! Servers that people use, as peers: started with configurations of their own, on ports of their own, and ended.

use super::process::{hears_datagrams, is_served, listening};
use super::programs::command;
use super::tempdir::TempDir;
use super::wait::{eventually, watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Child, Stdio};

/// A real server with a directory of its own.
pub struct Server {
    child: Child,
    pub address: String,
    pub dir: TempDir,
}

impl Server {
    /// Starts a program that stays in the foreground, with its standard output and error in the file `said`, and waits
    /// until `is_ready`.
    pub fn start(
        dir: TempDir,
        address: String,
        program: &str,
        words: &[&str],
        is_ready: impl Fn() -> bool,
    ) -> Server {
        let said = fs::File::create(dir.path().join("said")).unwrap();
        let mut command = command(program);
        command.args(words).current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = || fs::read_to_string(dir.path().join("said")).unwrap_or_default();
        let look = || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended at start: {ended:?}\n{}", said());
            is_ready()
        };
        eventually("the server to listen", look, |ready| *ready);
        Server { child, address, dir }
    }

    /// The same for one that listens on this port of 127.0.0.1.
    pub fn on_port(dir: TempDir, port: u16, program: &str, words: &[&str]) -> Server {
        Server::start(dir, format!("127.0.0.1:{port}"), program, words, || listening(port))
    }

    /// The same for one that receives datagrams on this port of 127.0.0.1.
    pub fn on_udp_port(dir: TempDir, port: u16, program: &str, words: &[&str]) -> Server {
        Server::start(dir, format!("127.0.0.1:{port}"), program, words, || hears_datagrams(port))
    }

    /// What is in this file of its directory; nothing if there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it is gone");
    }

    /// Ends it and waits until nobody is at its address any more: processes that it started may outlive it.
    pub fn stop(&mut self) {
        self.end();
        let Ok(address) = self.address.parse() else { return };
        eventually("nobody to be there", || is_served(address), |served| !served);
    }

    fn end(&mut self) {
        // Gone already is as good.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        if watch(|| self.child.try_wait().unwrap(), Option::is_some).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
