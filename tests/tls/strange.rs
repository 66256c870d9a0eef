//! Certificates that careful programs do not make and others do: of version 1, signed by themselves, with short keys, out of
//! date, with names in the wrong place. Who is believed, who is not, and what is said.

use crate::PATIENT;
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::process::listening;
use crate::common::programs::{command, run};
use crate::common::wait::eventually;
use crate::workshop::{AUTHORITY, EC, WEB, Workshop};
use std::io::Write;
use std::process::{Child, Stdio};

const HELLO: &str = "here-is-the-server";
const LEAF: &str = "basicConstraints=CA:FALSE\n";

fn brief_server() -> Backend {
    Backend::serving(|mut stream| {
        let _ = stream.write_all(format!("{HELLO}\n").as_bytes());
    })
}

/// Kills the program when the test is over.
pub struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

impl Workshop {
    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A web server that shows this certificate.
    pub fn serve(&self, name: &str, words: &str) -> (Program, u16) {
        let port = free_port();
        let mut command = command("openssl");
        command.args(["s_server", "-quiet", "-www", "-accept"]).arg(format!("127.0.0.1:{port}"));
        command.args([
            "-cert",
            &self.file(&format!("{name}.crt")),
            "-key",
            &self.file(&format!("{name}.key")),
        ]);
        command.args(words.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Program(command.spawn().unwrap());
        eventually("openssl to listen", || listening(port), |ready| *ready);
        (program, port)
    }

    /// Whether a client with this certificate is let in, and what pen says of it.
    fn shows(&self, pen: &Pen, name: &str, words: &str) -> bool {
        let address = pen.address.to_string();
        let (certificate, key) = (self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")));
        let mut all =
            vec!["s_client", "-connect", &address, "-ign_eof", "-quiet", "-cert", &certificate, "-key", &key];
        all.extend(words.split_whitespace());
        run("openssl", &all, "").stdout.contains(HELLO)
    }

    fn guarded(&self, server: &Backend, authorities: &str) -> Start {
        Pen::before([server])
            .options("-dd -R -E")
            .word(self.file("web.crt"))
            .options("-K")
            .word(self.file("web.key"))
            .options("-G")
            .word(self.file(authorities))
    }
}

pub fn before(port: u16, words: &str) -> Start {
    Pen::before([] as [&str; 0])
        .options(PATIENT)
        .config(&format!("blacklist 0\nserver 0 address 127.0.0.1 port {port} tls {words}\n"))
}

/// Whether the server is reached.
pub fn is_served(pen: &Pen) -> bool {
    let mut client = pen.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut heard = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut heard);
    heard.starts_with(b"HTTP/1.0 200")
}

#[test]
fn noverify_looks_at_nothing_but_the_key() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    shop.signed("v1", "root", EC, "", "");
    shop.signed("short", "root", "rsa:1024", WEB, "");
    shop.signed("critical", "root", EC, "1.2.3.4=critical,DER:0500\n", "");
    shop.signed("expired", "root", EC, WEB, "-days -1");
    shop.signed("pss", "root", "rsa-pss -pkeyopt rsa_keygen_bits:2048", WEB, "");
    shop.signed("p521", "root", "ec -pkeyopt ec_paramgen_curve:P-521", WEB, "");
    shop.signed("ed448", "root", "ed448", WEB, "");
    for (name, words) in [
        ("v1", "-tls1_2"),
        ("v1", "-tls1_3"),
        ("short", "-tls1_2 -cipher ALL:@SECLEVEL=0"),
        ("short", "-tls1_3 -cipher ALL:@SECLEVEL=0"),
        ("critical", ""),
        ("expired", ""),
        ("pss", ""),
        ("p521", ""),
        ("ed448", ""),
    ] {
        let (_server, port) = shop.serve(name, words);
        let pen = before(port, "noverify").start();
        assert!(is_served(&pen), "{name} {words}: {}", pen.stderr());
    }
}

#[test]
fn verify_takes_what_the_operator_listed_and_what_his_authority_signed() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    shop.self_signed("web.test", EC, "");
    shop.self_signed("other.test", EC, "");
    shop.self_signed("named", EC, "subjectAltName=DNS:web.test");
    shop.signed("old", "web.test", EC, WEB, "-days -1");
    let within = |name: &str, issuer: &str, extensions: &str| shop.signed(name, issuer, EC, extensions, "");
    within("common", "root", LEAF);
    shop.write("common.crt", ""); // made again below, with the name in the subject
    shop.run(&format!("req -newkey {EC} -nodes -subj /CN=web.test -keyout common.key -out common.csr"));
    shop.run(
        "x509 -req -in common.csr -CA root.crt -CAkey root.key -CAcreateserial -days 30 -out common.crt",
    );
    shop.run(&format!("req -newkey {EC} -nodes -subj /CN=127.0.0.1 -keyout address.key -out address.csr"));
    shop.run(
        "x509 -req -in address.csr -CA root.crt -CAkey root.key -CAcreateserial -days 30 -out address.crt",
    );
    within("ca", "root", "subjectAltName=DNS:web.test\nbasicConstraints=CA:TRUE\n");
    within(
        "client",
        "root",
        "subjectAltName=DNS:web.test\nextendedKeyUsage=clientAuth\nbasicConstraints=CA:TRUE\n",
    );
    shop.signed("pss", "root", "rsa-pss -pkeyopt rsa_keygen_bits:2048", WEB, "");
    for (name, listed, asked, is_right, reason) in [
        ("web.test", "web.test", "web.test", true, ""),
        ("named", "named", "web.test", true, ""),
        ("other.test", "other.test", "web.test", false, "is not for \"web.test\""),
        ("named", "named", "named", false, "is not for \"named\" but for "),
        ("web.test", "other.test", "web.test", false, "CA:TRUE"),
        ("old", "old", "web.test", false, "expired on "),
        ("old", "web.test", "web.test", false, "expired on "),
        ("common", "root", "web.test", true, ""), // of version 1 too
        ("common", "root", "other.test", false, "is not for \"other.test\" but for web.test;"),
        ("address", "root", "127.0.0.1", true, ""),
        ("ca", "root", "web.test", true, ""),
        ("ca", "root", "other.test", false, "is not for \"other.test\" but for web.test;"),
        ("client", "root", "web.test", false, "CA:TRUE"),
        ("web", "int", "web.test", true, ""),
        ("web", "root", "web.test", false, "has no authority that we know"),
        ("pss", "root", "web.test", true, ""),
    ] {
        let (_server, port) = shop.serve(name, "");
        let start = before(port, &format!("verify {asked}"));
        let pen =
            start.command(format!("ssl_server_ca_file {}", shop.file(&format!("{listed}.crt")))).start();
        assert_eq!(is_served(&pen), is_right, "{name} by {listed} as {asked}: {}", pen.stderr());
        assert!(pen.stderr().contains(reason), "{name} by {listed} as {asked}: {}", pen.stderr());
    }
}

#[test]
fn clients_show_what_the_operator_listed_or_his_authority_signed() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    shop.self_signed("self", EC, "");
    shop.self_signed("stranger", EC, "");
    shop.self_signed("rsa", "rsa:2048", "");
    let made = |name: &str, extensions: &str, words: &str| shop.signed(name, "root", EC, extensions, words);
    made("plain", LEAF, "");
    made("v1", "", "");
    made("ca", "basicConstraints=CA:TRUE\n", "");
    made("policies", "certificatePolicies=critical,1.2.3.4\n", "");
    made("unknown", "1.2.3.4=critical,DER:0500\n", "");
    made("for-servers", "extendedKeyUsage=serverAuth\n", "");
    made("ca-for-servers", "extendedKeyUsage=serverAuth\nbasicConstraints=CA:TRUE\n", "");
    made("old", LEAF, "-days -1");
    made("old-v1", "", "-days -1");
    shop.signed("sha1", "root", EC, LEAF, "-sha1");
    shop.signed("salted", "rsa", EC, LEAF, "-sigopt rsa_padding_mode:pss");
    shop.signed("pss", "root", "rsa-pss -pkeyopt rsa_keygen_bits:2048", LEAF, "");
    shop.signed("p521", "root", "ec -pkeyopt ec_paramgen_curve:P-521", LEAF, "");
    shop.signed("forged", "stranger", EC, "", "");
    let all: String = ["root", "self", "rsa"].map(|name| shop.text(&format!("{name}.crt"))).concat();
    shop.write("all.crt", all);
    let pen = shop.guarded(&server, "all.crt").start();
    for (name, is_in) in [
        ("plain", true),
        ("self", true),
        ("stranger", false),
        ("v1", true),
        ("ca", true),
        ("policies", true),
        ("unknown", false),
        ("for-servers", false),
        ("ca-for-servers", false),
        ("old", false),
        ("old-v1", false),
        ("sha1", false),
        ("salted", true),
        ("pss", true),
        ("p521", true),
        ("forged", false),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            if (name, version) == ("pss", "-tls1_2") {
                continue; // keys for RSA-PSS only are asked for in TLS 1.3
            }
            let words = format!("{version} -cipher ALL:@SECLEVEL=0");
            assert_eq!(shop.shows(&pen, name, &words), is_in, "{name} {version}: {}", pen.stderr());
        }
    }
    let told = pen.stderr();
    for reason in [
        "was made as an authority (CA:TRUE)",
        "has a critical extension that nobody here knows",
        "is not meant for this use (extendedKeyUsage)",
        "expired on ",
    ] {
        assert!(told.contains(reason), "{reason}: {told}");
    }
}

#[test]
fn own_certificates_of_version_1_are_served() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    shop.signed("v1", "root", EC, "", "");
    shop.signed("cubed", "root", "rsa:2304 -pkeyopt rsa_keygen_pubexp:3", WEB, "");
    let server = brief_server();
    for name in ["v1", "cubed"] {
        let file = |ending: &str| shop.file(&format!("{name}.{ending}"));
        let pen =
            Pen::before([&server]).options("-E").word(file("crt")).options("-K").word(file("key")).start();
        let address = pen.address.to_string();
        let said = run("openssl", &["s_client", "-connect", &address, "-quiet", "-ign_eof"], "");
        assert!(said.stdout.contains(HELLO), "{name}: {said:?}");
    }
    let other = shop.file("web.key");
    let told = Pen::before([&server]).options("-E").word(shop.file("v1.crt")).options("-K").word(other).run();
    assert!(told.stderr.contains("the key is not that of the first certificate"), "{told:?}");
}

#[test]
fn authorities_that_are_none_are_told_and_not_believed() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    shop.signed("leaf", "root", EC, LEAF, "");
    shop.self_signed("good", EC, "");
    shop.run(&format!("req -newkey {EC} -nodes -subj /CN=past -keyout past.key -out past.csr"));
    shop.write("past.ext", AUTHORITY);
    shop.run("x509 -req -in past.csr -signkey past.key -days -1 -extfile past.ext -out past.crt");
    let mut all = String::new();
    for (authority, extensions) in [("good", LEAF), ("leaf", LEAF), ("past", LEAF)] {
        shop.signed(&format!("by-{authority}"), authority, EC, extensions, "");
        all += &shop.text(&format!("{authority}.crt"));
    }
    let lines = |name: &str| shop.text(&format!("{name}.crt")).lines().count();
    shop.write("all.crt", all);
    let pen = shop.guarded(&server, "all.crt").start();
    let is_in = ["by-good", "by-leaf", "by-past", "leaf", "past"].map(|name| shop.shows(&pen, name, ""));
    assert_eq!(is_in, [true, false, false, true, false], "{}", pen.stderr());
    let (file, second) = (shop.file("all.crt"), 1 + lines("good"));
    for told in [
        format!("ssl_ca_file: {file}:{second}: \"leaf\" is no authority"),
        format!("ssl_ca_file: {file}:{}: \"past\" expired on ", second + lines("leaf")),
    ] {
        assert!(pen.stderr().contains(&told), "{told}: {}", pen.stderr());
    }
}
