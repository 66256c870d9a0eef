//! A container of `tests/systemd/container`, with pen and its units in it. It ends when this does.

use crate::common::{programs, root, skip, skip_without};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/container");

pub struct Container {
    child: Child,
    pid: String,
}

/// Whether there can be containers here; makes what they share. Says what is missing.
pub fn is_possible() -> bool {
    if !root() {
        skip("a container needs root");
        return false;
    }
    if !programs::is_installed("debootstrap") {
        skip_without("debootstrap");
        return false;
    }
    let made = Command::new(SCRIPT).arg("root").stdout(Stdio::null()).status().unwrap();
    assert!(made.success(), "see above");
    true
}

impl Container {
    /// With the user, the programs and the units where the page has them.
    pub fn boot() -> Container {
        let pen = Path::new(env!("CARGO_BIN_EXE_pen")).to_owned();
        let mut command = Command::new(SCRIPT);
        command.arg("boot");
        for (from, to) in [(pen, "/usr/local/bin/pen"), (programs::ours("penctl"), "/usr/local/bin/penctl")] {
            command.arg("--bind").arg(format!("{}:{to}", from.display()));
        }
        let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging:/packaging");
        let contrib = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib:/contrib");
        command.args(["--bind", packaging, "--bind", contrib]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        assert!(!pid.is_empty(), "it does not boot, see above");
        let container = Container { child, pid: pid.trim().to_string() };
        container.done(
            "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin pen; install -d /etc/pen; \
             install -m 644 /packaging/*.service /etc/systemd/system/; systemctl daemon-reload; ip link set lo up",
        );
        container
    }

    /// The file of a pen that listens at a port, before one server.
    pub fn config(&self, name: &str, listen: u16, server: u16) {
        let lines = format!(
            "listen {listen}\\nserver 0 address 127.0.0.1 port {server}\\nweb_stats /var/lib/pen/{name}.html\\n"
        );
        self.done(&format!("printf '{lines}' >/etc/pen/{name}.conf"));
    }

    /// Runs a shell script in it.
    ///
    /// # Errors
    /// What it said.
    pub fn run(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new(SCRIPT);
        command.args(["in", &self.pid, "sh", "-ec", script]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    /// What a script wrote.
    pub fn output(&self, script: &str) -> String {
        self.run(script).unwrap_or_else(|said| {
            let journal = self.run("systemctl status --no-pager 'pen*'; journalctl --no-pager -n 40");
            panic!("{script}: {said}\n{}", journal.unwrap_or_else(|said| said))
        })
    }

    pub fn done(&self, script: &str) {
        self.output(script);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
