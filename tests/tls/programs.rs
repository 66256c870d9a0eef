//! TLS with what people have: openssl, curl, Apache, testssl.sh.

use crate::PATIENT;
use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, read_line};
use crate::common::pattern;
use crate::common::pen::{Ended, Pen, Start};
use crate::common::ports::free_port;
use crate::common::process::listening;
use crate::common::programs::{all_installed, run};
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

const LARGE_BYTES: usize = 5 << 20;

/// A web server that answers every request with [`LARGE_BYTES`] of the pattern.
fn web_server() -> Backend {
    Backend::serving(|mut stream| {
        while read_line(&stream).is_some_and(|line| line != "\r") {}
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| pattern::write(&mut stream, LARGE_BYTES));
    })
}

fn https(authority: &Authority, server: &Backend) -> Start {
    Pen::before([server]).certificate(&authority.sign(&["web.test"])).file("ca.pem", &authority.pem)
}

/// `openssl s_client` with these words; it sends a request and waits for the end.
fn s_client(pen: &Pen, words: &str) -> Ended {
    let (address, ca) = (pen.address.to_string(), pen.path("ca.pem").display().to_string());
    let mut all = vec!["s_client", "-connect", &address, "-CAfile", &ca, "-ign_eof"];
    all.extend(words.split_whitespace());
    run("openssl", &all, "GET / HTTP/1.0\r\n\r\n")
}

#[test]
fn curl_fetches_a_large_file_with_both_versions() {
    if !all_installed(&[("curl", "curl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let server = web_server();
    let pen = https(&authority, &server).options("-H").start();
    let (port, dir) = (pen.address.port(), TempDir::new());
    for version in ["1.2", "1.3"] {
        let (ca, out) = (pen.path("ca.pem").display().to_string(), dir.path().join("out"));
        let words = [
            "-sS".to_string(),
            "--max-time".into(),
            "20".into(),
            format!("--tlsv{version}"),
            "--tls-max".into(),
            version.into(),
            "--cacert".into(),
            ca,
            "--resolve".into(),
            format!("web.test:{port}:127.0.0.1"),
            "-o".into(),
            out.display().to_string(),
            format!("https://web.test:{port}/"),
        ];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = run("curl", &words, "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(pattern::read_to_end(&mut fs::File::open(&out).unwrap()), LARGE_BYTES);
    }
}

/// A server that says something and ends.
fn brief_server() -> Backend {
    Backend::serving(|mut stream| {
        let _ = stream.write_all(b"bye\n");
    })
}

#[test]
fn openssl_is_content_and_old_protocols_and_ciphers_are_refused() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let server = brief_server();
    let pen = https(&authority, &server).directory("sites").command("ssl_sni_path sites").start();
    let verified = "-servername web.test -verify_hostname web.test -verify_return_error";
    for words in [
        &format!("-tls1_2 {verified}"),
        &format!("-tls1_3 {verified}"),
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
        "-tls1_3 -groups P-384",
    ] {
        let said = s_client(&pen, words);
        assert!(said.stdout.contains("Cipher is ") && said.stdout.contains("\nbye\n"), "{words}: {said:?}");
    }
    for words in [
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher AES128-SHA",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA",
        "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256",
        // No name for a certificate, and no path either: it is refused before anything is looked for.
        "-servername ../pen",
    ] {
        let said = s_client(&pen, words);
        assert!(!said.stdout.contains("bye"), "{words}: {said:?}");
    }
}

#[test]
fn openssl_takes_up_its_session_again() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let server = brief_server();
    let pen = https(&authority, &server).start();
    for version in ["-tls1_2", "-tls1_2 -no_ticket", "-tls1_3"] {
        let session = pen.path("session").display().to_string();
        assert!(s_client(&pen, &format!("{version} -sess_out {session}")).stdout.contains("New, TLSv1"));
        let again = s_client(&pen, &format!("{version} -sess_in {session}"));
        assert!(again.stdout.contains("Reused, TLSv1"), "{version}: {}", again.stdout);
    }
}

/// Kills the program when the test is over.
pub struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

pub fn start(program: &str, words: &[&str], dir: &TempDir, port: u16) -> Program {
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let program = Program(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")));
    eventually("the program to listen", || listening(port), |ready| *ready);
    program
}

#[test]
fn openssl_s_server_and_apache_are_servers() {
    if !all_installed(&[("openssl", "openssl"), ("apache2", "apache2"), ("curl", "curl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let (dir, ports) = (TempDir::new(), [free_port(), free_port()]);
    dir.file("c.pem", &pair.certificate);
    dir.file("k.pem", &pair.key);
    dir.file("ca.pem", &authority.pem);
    let large = dir.path().join("large");
    pattern::write(&mut fs::File::create(&large).unwrap(), LARGE_BYTES).unwrap();
    let accept = format!("127.0.0.1:{}", ports[0]);
    let words = ["s_server", "-quiet", "-WWW", "-accept", &accept, "-cert", "c.pem", "-key", "k.pem"];
    let _openssl = start("openssl", &words, &dir, ports[0]);
    let here = dir.path().display().to_string();
    let modules = "/usr/lib/apache2/modules";
    dir.file(
        "apache.conf",
        &format!(
            "ServerRoot {here}\nServerName web.test\nPidFile {here}/pid\nListen 127.0.0.1:{}\nErrorLog {here}/error.log\n\
             LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n\
             LoadModule ssl_module {modules}/mod_ssl.so\n\
             SSLEngine on\nSSLCertificateFile {here}/c.pem\nSSLCertificateKeyFile {here}/k.pem\n\
             DocumentRoot {here}\n<Directory {here}>\nRequire all granted\n</Directory>\n",
            ports[1]
        ),
    );
    let conf = format!("{here}/apache.conf");
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let _apache = start("/usr/sbin/apache2", &["-X", "-f", &conf], &dir, ports[1]);
    for port in ports {
        let pen = Pen::before([] as [&str; 0])
            .options(PATIENT)
            .file("ca.pem", &authority.pem)
            .config(&format!(
                "ssl_server_ca_file ca.pem\nserver 0 address 127.0.0.1 port {port} tls verify web.test\n"
            ))
            .start();
        let out = dir.path().join("out").display().to_string();
        let url = format!("http://{}/large", pen.address);
        for _ in 0..3 {
            let ended = run("curl", &["-sS", "--max-time", "20", "-o", &out, &url], "");
            assert_eq!(ended.code, Some(0), "{ended:?}\n{}", pen.stderr());
            assert_eq!(pattern::read_to_end(&mut fs::File::open(&out).unwrap()), LARGE_BYTES);
        }
    }
}

/// Takes about a minute, most of it waiting.
#[test]
fn testssl_finds_no_weakness() {
    if !all_installed(&[("testssl", "testssl.sh")]) {
        return;
    }
    let authority = Authority::new("authority");
    let server = web_server();
    let pen = https(&authority, &server).command("ssl_handshake_timeout 60").start();
    let (report, address) = (pen.path("report").display().to_string(), pen.address.to_string());
    let words = [
        "--quiet",
        "--color",
        "0",
        "--warnings",
        "batch",
        "--ip",
        "127.0.0.1",
        "--protocols",
        "--std",
        "--fs",
        "--vulnerable",
        "--csvfile",
        &report,
        &address,
    ];
    let ended = run("testssl", &words, "");
    let report = fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    // "id","fqdn/ip","port","severity","finding","cve","cwe"
    let findings =
        report.lines().skip(1).map(|line| line.trim_matches('"').split("\",\"").collect::<Vec<_>>());
    let weak: Vec<_> = findings
        .clone()
        .filter(|fields| matches!(fields.get(3), Some(&("LOW" | "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL"))))
        .collect();
    assert!(findings.count() > 30, "{report}\n{ended:?}");
    assert!(weak.is_empty(), "{weak:?}");
    assert!(report.contains("\"TLS1_3\"") && report.contains("\"heartbleed\""), "{report}");
}
