//! `pen --as octopuslb-server`, a link of that name, and `--import octopuslb.conf`: what Octopus's users see of them.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pen_sys::tempdir::TempDir;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

const PEN: &str = env!("CARGO_BIN_EXE_pen");

fn pen(words: &[&str]) -> Output {
    Command::new(PEN).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with a configuration and what comes of it.
pub struct Farm {
    folder: TempDir,
    pub port: u16,
}

impl Farm {
    pub fn new(servers: &[&Backend]) -> Farm {
        let farm = Farm { folder: TempDir::new(), port: free_port() };
        farm.configure(servers, "");
        farm
    }

    pub fn configure(&self, servers: &[&Backend], more: &str) {
        let directory = self.folder.path().display();
        let mut text = format!(
            "binding_ip=127.0.0.1\nbinding_port={}\nalgorithm=RR\nshm_run_dir={directory}/run\n\
             log_file={directory}/log\n{more}\n",
            self.port
        );
        for (number, server) in servers.iter().enumerate() {
            text += &format!("[web{number}]\nip=127.0.0.1\nport={}\n[/]\n", server.port());
        }
        fs::write(self.path("octopuslb.conf"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn socket(&self) -> PathBuf {
        self.path(&format!("run/octopus-1.14-127.0.0.1-{}", self.port))
    }

    /// By a link, in the background.
    pub fn start(&self) -> Output {
        let link = self.path("octopuslb-server");
        if !link.exists() {
            symlink(PEN, &link).unwrap();
        }
        Command::new(link).arg("-c").arg(self.path("octopuslb.conf")).output().unwrap()
    }

    pub fn control(&self, command: &str) -> String {
        let socket = self.socket().display().to_string();
        crate::common::programs::run("penctl", &[&socket, command], "").stdout
    }

    pub fn pid(&self) -> Option<Pid> {
        self.control("pid").trim().parse().ok().map(Pid::from_raw)
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn ask(&self) -> String {
        Client::connect(self.address()).line()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

#[test]
fn a_link_named_octopuslb_server_serves_as_octopus_does() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let farm = Farm::new(&[&a, &b]);
    let started = farm.start();
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    let startup = ": STARTUP: main: octopus startup completed\n";
    eventually("the start message", || farm.text("log"), |log| log.contains(startup));
    let mut names = [farm.ask(), farm.ask()];
    names.sort();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(farm.control("blacklist"), "30\n", "penctl reaches it, for root as well");
    let second = farm.start();
    assert_eq!(second.status.code(), Some(255), "{second:?}");
    assert!(text(&second.stderr).starts_with("octopuslb-server: "), "{second:?}");
    assert_eq!(farm.ask().len(), 1, "the first one serves on");
    kill(farm.pid().unwrap(), Signal::SIGTERM).unwrap();
    eventually("the end", || farm.socket().exists(), |is_there| !is_there);
}

#[test]
fn hup_reads_the_file_again_and_opens_the_log_again() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let farm = Farm::new(&[&a]);
    assert_eq!(farm.start().status.code(), Some(0));
    assert_eq!(farm.ask() + &farm.ask(), "AA");
    farm.configure(&[&b], "");
    fs::rename(farm.path("log"), farm.path("log.1")).unwrap();
    let pid = farm.pid().unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("the new server", || farm.ask(), |name| name == "B");
    eventually("the new log", || farm.path("log").exists(), |is_there| *is_there);
    farm.configure(&[&a], "algorithm=nonsense");
    kill(pid, Signal::SIGHUP).unwrap();
    let told = "octopuslb.conf:6: algorithm: want LC or LL or RR or HASH or STATIC, got \"nonsense\"";
    eventually("the complaint", || farm.text("log"), |log| log.contains(told));
    assert_eq!(farm.ask(), "B", "nothing has changed");
    let written = farm.control("write");
    assert_eq!(written, "");
    assert!(farm.text("octopuslb.conf").starts_with("binding_ip"), "pen writes nothing over it");
}

#[test]
fn the_command_line_is_octopuss() {
    let usage = pen(&["--as", "octopuslb-server"]);
    assert_eq!((usage.status.code(), &usage), (Some(0), &pen(&["--as", "octopuslb-server", "-h"])));
    assert!(text(&usage.stdout).starts_with("Usage: octopuslb-server [-hf] [-c config-file] [-d level]\n"));
    for (words, expected) in [
        (&["-x"][..], "octopuslb-server: Unrecognized option: 'x'\nUsage: "),
        (&["stray"], "octopuslb-server: stray: want an option, such as -c FILE\n"),
        (&["-f"], "octopuslb-server: want -c FILE\n"),
        (&["-c", "/f", "-d", "7"], "octopuslb-server: -d: want 0 to 6, got \"7\"\n"),
        (&["-c", "/no/such/file"], "octopuslb-server: /no/such/file: no such file or directory\n"),
    ] {
        let ended = pen(&[&["--as", "octopuslb-server"], words].concat());
        assert_eq!(ended.status.code(), Some(255), "{words:?}");
        assert!(text(&ended.stderr).starts_with(expected), "{words:?}: {ended:?}");
    }
}

#[test]
fn in_the_foreground_messages_go_to_standard_error_and_d_counts_before_the_file() {
    let a = Backend::named("A");
    let farm = Farm::new(&[&a]);
    farm.configure(&[&a], "debug_level=1");
    let file = farm.path("octopuslb.conf");
    let mut command = Command::new(PEN);
    command.args(["--as", "octopuslb-server", "-f", "-d", "4", "-c"]).arg(file);
    let mut child = command.stderr(fs::File::create(farm.path("err")).unwrap()).spawn().unwrap();
    eventually("the start", || farm.text("err"), |said| said.contains("octopus startup completed"));
    assert_eq!(farm.control("debug"), "2\n");
    assert!(!farm.path("log").exists());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    farm.control("reload");
    assert_eq!(farm.control("debug"), "2\n", "after a reload too");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_imported_file_is_a_configuration_of_pens_and_notes_have_their_lines() {
    let a = Backend::named("A");
    let farm = Farm::new(&[&a]);
    farm.configure(&[&a, &a], "monitor_intervall=9\nalgorythm=LC");
    let file = farm.path("octopuslb.conf");
    let imported = pen(&["--import", file.to_str().unwrap()]);
    assert_eq!(imported.status.code(), Some(0));
    let notes = text(&imported.stderr);
    let at = |line: u32| format!("pen: {}:{line}: ", file.display());
    assert!(
        notes.contains(&format!("{}\"monitor_intervall\": Octopus goes by the beginning", at(6))),
        "{notes}"
    );
    assert!(notes.contains(&format!("{}\"algorythm\": want one of binding_ip", at(7))), "{notes}");
    fs::write(farm.path("pen.conf"), &imported.stdout).unwrap();
    let checked = pen(&["--check", "-F", farm.path("pen.conf").to_str().unwrap()]);
    assert_eq!(text(&checked.stdout), "valid\n", "{checked:?}");
    assert!(text(&imported.stdout).contains("\ncheck_interval 9\n"));
    fs::write(&file, "binding_port=x\n[a]\nip=name\n[/]\n").unwrap();
    let broken = pen(&["--import", file.to_str().unwrap()]);
    assert_eq!(broken.status.code(), Some(1));
    let errors = text(&broken.stderr);
    assert!(errors.contains("octopuslb.conf:1: binding_port: want 1 to 65535, got \"x\"\n"), "{errors}");
    assert!(errors.contains("octopuslb.conf:3: ip: want an IPv4 address, got \"name\"\n"), "{errors}");
}

/// Every directive and every word of a block, and for each line that means something else its note.
#[test]
fn pen_takes_every_word_of_an_octopus_file() {
    const FILE: &str = "# all of them\nbinding_ip = 127.0.0.1\nbinding_port=8080 # a remark\nmember_outbound_ip=127.0.0.2\n\
        clone_outbound_ip=127.0.0.3\nalgorithm=HASH\nclone_mode=enabled\nsession_weight=0.2\n\
        hash_rebalance_interval=60\nhash_rebalance_threshold=20\nhash_rebalance_size=10\n\
        overload_mode=STRICT\ndefault_maxc=1000\ndefault_maxl=8.0\nshm_run_dir=DIR/run\nshm_perms=640\n\
        fd_limit=0\nsession_limit=900\nlog_file=DIR/log\ndebug_level=4\nuse_syslog=1\n\
        monitor_interval=10\nconnect_timeout=2\nsnmp_enable=on\nsnmp_community_pw=secret\n\
        [web 1]\nip=127.0.0.1\n[/]\n\
        [copy]\nip=127.0.0.1\nport=81\nmaxc=7\nmaxl=2\nclone=true\nstandby=true\nstatus=disabled\n[/]\n\
        [late]\nip=127.0.0.1\nclone=yes\ncolour=red\n[/]\n";
    let folder = TempDir::new();
    let path = |name: &str| folder.path().join(name);
    let file = path("octopuslb.conf");
    fs::write(&file, FILE.replace("DIR", &folder.path().display().to_string())).unwrap();
    let imported = pen(&["--import", file.to_str().unwrap()]);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    let start = format!("pen: {}:", file.display());
    let notes = text(&imported.stderr);
    let lines: Vec<&str> = notes.lines().map(|note| note.strip_prefix(&start).unwrap_or(note)).collect();
    for (line, words) in [
        (21, "use_syslog: messages go to one place"),
        (26, "\"web 1\" is called web-1 here"),
        (40, "clone: want true or false, got \"yes\""),
        (41, "\"colour\": want one of "),
    ] {
        let told = lines.iter().any(|note| note.starts_with(&format!("{line}: {words}")));
        assert!(told, "{line}: {words}: {notes}");
    }
    assert_eq!(lines.len(), 4, "{notes}");
    fs::write(path("pen.conf"), &imported.stdout).unwrap();
    let checked = pen(&["--check", "-F", path("pen.conf").to_str().unwrap()]);
    assert_eq!(text(&checked.stdout), "valid\n", "{checked:?}");
}

/// Without root there is no `-u root`, and nothing else of it matters.
#[test]
fn the_script_starts_one_server_for_each_file() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (one, two) = (Farm::new(&[&a]), Farm::new(&[&b]));
    let files = TempDir::new();
    let folder = files.path().display().to_string();
    for (farm, name) in [(&one, "one"), (&two, "two")] {
        symlink(farm.path("octopuslb.conf"), files.path().join(format!("{name}.conf"))).unwrap();
    }
    let penctl = crate::common::programs::ours("penctl");
    let settings = format!("PROGRAM={PEN}\nPENCTL={}\nCONFIGS={folder}\n", penctl.display());
    fs::write(files.path().join("default"), settings).unwrap();
    let script =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/octopus/octopuslb")).unwrap();
    let script = script.replace("/etc/default/octopuslb", &format!("{folder}/default"));
    fs::write(files.path().join("script"), script).unwrap();
    let does = |verb: &str| crate::common::programs::run("sh", &[&format!("{folder}/script"), verb], "");
    let started = does("start");
    assert_eq!((started.code, started.stderr), (Some(0), String::new()));
    assert_eq!(one.ask() + &two.ask(), "AB");
    let status = does("status");
    assert!(status.stdout.contains(&one.pid().unwrap().to_string()), "{status:?}");
    assert!(status.stdout.contains(&two.pid().unwrap().to_string()), "{status:?}");
    one.configure(&[&b], "");
    assert_eq!(does("reload").code, Some(0));
    eventually("the new server", || one.ask(), |name| name == "B");
    let again = does("start");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(does("stop").code, Some(0));
    assert_eq!(does("status").code, Some(3));
}

#[test]
fn xml_of_txloadbalancer_is_a_configuration_of_pens_and_errors_have_their_columns() {
    let folder = TempDir::new();
    let file = folder.path().join("config.xml").display().to_string();
    let config = |scheduler: &str| {
        format!(
            "<config>\n<service name=\"web\"><listen ip=\"127.0.0.1:{}\"/>\n<group name=\"main\" \
             scheduler=\"{scheduler}\" enable=\"yes\"><host name=\"a\" ip=\"127.0.0.1:1\" weight=\"2\"/></group>\n\
             <group name=\"spare\" scheduler=\"leastc\"><host ip=\"127.0.0.1:2\"/></group></service>\n\
             <manager><hostCheck interval=\"10\" enable=\"true\"/></manager></config>\n",
            free_port()
        )
    };
    fs::write(&file, config("weightr")).unwrap();
    let imported = pen(&["--import", &file]);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    let conf = folder.path().join("pen.conf").display().to_string();
    fs::write(&conf, &imported.stdout).unwrap();
    let checked = pen(&["--check", "-F", &conf]);
    assert_eq!(self::text(&checked.stdout), "valid\n", "{checked:?}");
    fs::write(&file, config("sticky")).unwrap();
    let broken = self::text(&pen(&["--import", &file]).stderr);
    assert!(
        broken.starts_with(&format!("pen: {file}:3:1: <group>: scheduler: want one of rand")),
        "{broken}"
    );
}
