//! UDP with what people use it for: name servers and syslog; on a host with several addresses; and beside the original.
//!
//! What is not installed is told and left out; `tests/run` installs everything, and with CI=true nothing may be missing.

#[path = "../common/mod.rs"]
mod common;

mod dns;
mod hosts;
mod original;
mod syslog;

use common::process::hears_datagrams;
use common::programs::find;
use common::tempdir::TempDir;
use common::wait::{eventually, watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Whether all of these programs, each with its Debian package, are there; says which is not.
fn all_installed(programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().find(|(program, _)| find(program).is_none());
    missing.inspect(|(_, package)| common::skip_without(package)).is_none()
}

/// A real server with a directory of its own.
struct Server {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Server {
    /// Starts a program that stays in the foreground and waits until it hears datagrams at the port.
    fn start(dir: TempDir, port: u16, program: &str, words: &[&str]) -> Server {
        let said = fs::File::create(dir.path().join("said")).unwrap();
        let mut command = Command::new(find(program).unwrap());
        command.args(words).current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let look = || {
            let ended = child.try_wait().unwrap();
            let said = || fs::read_to_string(dir.path().join("said")).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended at start: {ended:?}\n{}", said());
            hears_datagrams(port)
        };
        eventually("the server to listen", look, |ready| *ready);
        Server { child, port, dir }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Ends it, with the processes that it started, and waits for that.
    fn stop(&mut self) {
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
        self.stop();
    }
}
