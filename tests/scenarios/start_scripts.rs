//! Start scripts for systems without systemd: the one for SysV's init is played, the others are read by their shells.

use crate::common::pen::Ended;
use crate::common::ports::free_port;
use crate::common::programs::{is_installed, run};
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::common::{root, skip_without};
use std::fs;
use std::path::Path;

const CONTRIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib");

/// The script, with settings that keep it in a folder.
struct Service {
    folder: TempDir,
}

impl Service {
    fn new(config: &str) -> Service {
        let folder = TempDir::new();
        let path = folder.path().display();
        let settings = format!(
            "PROGRAM={}\nCONFIG={path}/pen.conf\nPIDFILE={path}/run/pen.pid\nCONTROL={path}/run/control\n\
             RUN_AS=root\nOPTIONS='-b 17'\n",
            env!("CARGO_BIN_EXE_pen")
        );
        fs::write(folder.path().join("default"), settings).unwrap();
        let script = fs::read_to_string(format!("{CONTRIB}/sysv/pen")).unwrap();
        fs::write(
            folder.path().join("script"),
            script.replace("/etc/default/pen", &format!("{path}/default")),
        )
        .unwrap();
        let service = Service { folder };
        service.configure(config);
        service
    }

    fn configure(&self, config: &str) {
        fs::write(self.folder.path().join("pen.conf"), config).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn does(&self, verb: &str) -> Ended {
        run("sh", &[&self.path("script"), verb], "")
    }

    fn does_well(&self, verb: &str) -> Ended {
        let ended = self.does(verb);
        assert_eq!(ended.code, Some(0), "{verb}: {ended:?}");
        ended
    }

    fn asks(&self, command: &str) -> String {
        run("penctl", &[&self.path("run/control"), command], "").stdout
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.path("run/pen.pid")).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        self.does("stop");
    }
}

#[test]
fn the_script_for_sysv_starts_reloads_restarts_and_stops() {
    if !root() {
        return skip_without("root");
    }
    let config =
        |rest: &str| format!("listen 127.0.0.1:{}\nserver 0 address 127.0.0.1 port 1\n{rest}", free_port());
    let first = config("timeout 4\n");
    let service = Service::new(&first);
    assert_eq!(service.does("status").code, Some(3), "not running");
    service.does_well("start");
    assert!(service.does_well("status").stdout.contains(service.pid().trim()));
    assert_eq!((service.asks("timeout").as_str(), service.asks("blacklist").as_str()), ("4\n", "17\n"));
    assert!(service.does_well("start").stdout.contains("already"));

    service.configure(&first.replace("timeout 4", "timeout 5"));
    service.does_well("reload");
    eventually("the new timeout", || service.asks("timeout"), |said| said == "5\n");
    let before = service.pid();
    service.does_well("restart");
    assert_ne!(service.pid(), before);
    assert_eq!(service.asks("timeout"), "5\n");

    service.configure("bogus\n");
    for verb in ["reload", "restart"] {
        let ended = service.does(verb);
        assert!(ended.code != Some(0) && ended.stderr.contains("bogus"), "{verb}: {ended:?}");
    }
    assert_eq!(service.asks("timeout"), "5\n", "what serves goes on");
    service.does_well("stop");
    assert_eq!(service.does("status").code, Some(3));
    service.does_well("stop");
    assert_ne!(service.does("start").code, Some(0), "the reason is on standard error");
}

/// A process that took the number of a pen that is gone is left alone.
#[test]
fn a_stale_pid_file_names_nobody() {
    let service = Service::new("");
    fs::create_dir(service.path("run")).unwrap();
    fs::write(service.path("run/pen.pid"), std::process::id().to_string()).unwrap();
    let ended = service.does("status");
    assert!(ended.code == Some(1) && ended.stdout.contains("not running, and left"), "{ended:?}");
    service.does_well("stop");
}

#[test]
fn every_start_script_and_packaging_script_is_sound() {
    if !is_installed("shellcheck") {
        return skip_without("shellcheck");
    }
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
    let scripts =
        ["sysv/pen", "openrc/pen", "runit/pen/run", "freebsd/pen"].map(|name| format!("{CONTRIB}/{name}"));
    let parts = [
        "pen/installed",
        "pen/removing",
        "pen/removed",
        "penadmin/installed",
        "penadmin/removing",
        "penadmin/removed",
    ]
    .map(|name| format!("{packaging}/scripts/{name}"));
    for script in scripts.iter().chain(&parts).chain(&[format!("{packaging}/stage")]) {
        assert!(Path::new(script).exists(), "{script}");
        let ended = run("sh", &["-n", script], "");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{script}");
        // What is sourced is on other systems.
        let ended = run("shellcheck", &["--shell=sh", "--exclude=SC1091", script], "");
        assert_eq!(ended.code, Some(0), "{script}: {}", ended.stdout);
    }
    for script in ["packaging/build", "tests/build_before", "tests/builds", "tests/packages", "tests/run"] {
        let path = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
        let ended = run("shellcheck", &["--exclude=SC1091,SC2317", &path], "");
        assert_eq!(ended.code, Some(0), "{script}: {}", ended.stdout);
    }
}
