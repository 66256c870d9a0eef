//! Apache servers of our own: own files, own ports, in the foreground, ended when dropped.

use crate::common::process::listening;
use crate::common::programs::command;
use crate::common::tempdir::TempDir;
use crate::common::wait::{eventually, watch};
use crate::programs::unprivileged;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Where Debian has the modules.
pub const MODULES: &str = "/usr/lib/apache2/modules";

/// `combined`, as Debian's configuration has it.
const COMBINED: &str = r#"LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined"#;

pub struct Apache {
    /// `ADDRESS:PORT`.
    pub listen: String,
    pub dir: TempDir,
    child: Child,
}

impl Apache {
    /// Serves `/`, a small page, at this address; `more` are lines for its configuration, in which `@DIR@` is its
    /// directory.
    pub fn start(address: &str, port: u16, more: &str) -> Apache {
        Apache::start_in(TempDir::new(), address, port, more)
    }

    /// The same, in a directory that was prepared.
    pub fn start_in(dir: TempDir, address: &str, port: u16, more: &str) -> Apache {
        fs::create_dir(dir.path().join("htdocs")).unwrap();
        dir.file("htdocs/index.html", "<!DOCTYPE html><title>It works</title>\n");
        let listen = format!("{address}:{port}");
        let config = dir.file("apache.conf", &config(dir.path(), &listen, more));
        let stderr = File::create(dir.path().join("stderr")).unwrap();
        let child = command("apache2")
            .arg("-f")
            .arg(&config)
            .arg("-DFOREGROUND")
            .stdin(Stdio::null())
            .stderr(stderr)
            // When it is told to end it tells its whole process group, which would include this test.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut apache = Apache { listen, dir, child };
        let look = || {
            if let Some(status) = apache.child.try_wait().unwrap() {
                panic!("apache2 ended: {status}\n{}{}", apache.text("stderr"), apache.text("error.log"));
            }
            listening(port)
        };
        eventually("Apache to listen", look, |listening| *listening);
        apache
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file in its directory, empty if there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

/// The line that loads a module.
pub fn load(module: &&str) -> String {
    format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n")
}

fn config(dir: &Path, listen: &str, more: &str) -> String {
    let modules: String =
        ["mpm_prefork", "authz_core", "mime", "dir", "alias", "env", "cgi"].iter().map(load).collect();
    let user = unprivileged().map_or(String::new(), |user| format!("User {user}\nGroup #65534\n"));
    let more = more.replace("@DIR@", &dir.display().to_string());
    let dir = dir.display();
    format!(
        "ServerRoot {dir}\nServerName localhost\nListen {listen}\nPidFile {dir}/apache.pid\n\
         DefaultRuntimeDir {dir}\nMutex posixsem\n{modules}{user}\
         StartServers 2\nMinSpareServers 1\nMaxSpareServers 4\n\
         TypesConfig /dev/null\nAddType text/html .html\nDirectoryIndex index.html\nDocumentRoot {dir}/htdocs\n\
         <Directory />\nRequire all granted\n</Directory>\n\
         ErrorLog {dir}/error.log\n{COMBINED}\n{more}\n"
    )
}

impl Drop for Apache {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}{}---", self.listen, self.text("stderr"), self.text("error.log"));
        }
        // Its children and the programs behind its pipes end with it when it is asked to end, not when it is killed.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        if watch(|| self.child.try_wait().unwrap(), Option::is_some).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
