//! Files of certificates as they are found: glued together, marked, cut short. Each serves everything that is in it, or is
//! an error with its line.

use crate::common::backend::Backend;
use crate::common::pen::{Ended, Pen, Start};
use crate::common::programs::run;
use crate::workshop::{AUTHORITY, EC, WEB, Workshop};
use std::io::Write;

/// A server that says something and ends.
fn brief_server() -> Backend {
    Backend::serving(|mut stream| {
        let _ = stream.write_all(b"good-bye-all\n");
    })
}

fn start(shop: &Workshop, server: &Backend, certificate: &str) -> Start {
    let key = shop.path("web.key").display().to_string();
    Pen::before([server]).options("-E").word(certificate).options("-K").word(key)
}

fn s_client(pen: &Pen, words: &str) -> Ended {
    let address = pen.address.to_string();
    let mut all = vec!["s_client", "-connect", &address, "-ign_eof", "-servername", "web.test"];
    all.extend(words.split_whitespace());
    run("openssl", &all, "GET / HTTP/1.0\r\n\r\n")
}

#[test]
fn every_certificate_of_a_file_is_served_whatever_it_is_called() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    let (leaf, int) = (shop.text("web.crt"), shop.text("int.crt"));
    let named = |label: &str, text: &str| text.replace(" CERTIFICATE-----", &format!(" {label}-----"));
    shop.run("x509 -in int.crt -trustout -addtrust serverAuth -out trusted.crt");
    for (case, text) in [
        ("mark first", format!("\u{feff}{leaf}{int}")),
        ("mark between", format!("{leaf}\u{feff}{int}")),
        ("X509", format!("{leaf}{}", named("X509 CERTIFICATE", &int))),
        ("TRUSTED", format!("{leaf}{}", shop.text("trusted.crt"))),
        ("no final line end", format!("{leaf}{}", int.trim_end())),
        ("lines of Windows", format!("{leaf}{int}").replace('\n', "\r\n")),
    ] {
        let key = shop.text("web.key");
        for (is_together, text) in
            [(false, text.clone()), (true, format!("{key}{text}")), (true, format!("{text}\n{key}"))]
        {
            let file = shop.write("c.pem", text);
            let start = match is_together {
                true => Pen::before([&server]).options("-E").word(&file),
                false => start(&shop, &server, &file),
            };
            let shown = s_client(&start.start(), "-showcerts").stdout.matches("BEGIN CERTIFICATE").count();
            assert_eq!(shown, 2, "{case}, together with the key: {is_together}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_told_with_its_line() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    let (leaf, int) = (shop.text("web.crt"), shop.text("int.crt"));
    let lines = leaf.lines().count();
    let cut = |text: &str, count: usize| {
        let kept: Vec<_> = text.lines().collect();
        let (last, head) = kept.split_last().unwrap();
        format!("{}\n{last}\n", head[..head.len() - count].join("\n"))
    };
    for (case, text, line, reason) in [
        ("glued", format!("{}{int}", leaf.trim_end()), lines, "want a line end between them"),
        (
            "cut off",
            format!("{leaf}{}", int.lines().take(4).collect::<Vec<_>>().join("\n")),
            lines + 1,
            "without its END",
        ),
        ("cut inside", format!("{leaf}{}", cut(&int, 2)), lines + 1, "is something cut off?"),
        ("a request", format!("{leaf}{}", shop.text("int.csr")), lines + 1, "only asks for a certificate"),
        ("no base64", format!("{leaf}{}", int.replacen("\nMII", "\nM!I", 1)), lines + 1, "base64"),
        ("four dashes", format!("{leaf}{}", int.replace("-----", "----")), lines + 1, "want a line such as"),
        ("indented", format!("{leaf}  {}", int.replace('\n', "\n  ")), lines + 1, "want a line such as"),
        (
            "no BEGIN",
            format!("{leaf}{}", int.lines().skip(1).collect::<Vec<_>>().join("\n")),
            lines + int.lines().count() - 1,
            "without its BEGIN",
        ),
    ] {
        let file = shop.write("c.pem", text);
        for options in ["", "-R -G"] {
            let told = match options {
                "" => start(&shop, &server, &file).run(),
                _ => start(&shop, &server, &shop.path("web.crt").display().to_string())
                    .options(options)
                    .word(&file)
                    .run(),
            };
            assert_eq!(told.code, Some(1), "{case}: {told:?}");
            let place = format!("{file}:{line}: ");
            assert!(told.stderr.contains(&place) && told.stderr.contains(reason), "{case}: {told:?}");
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_told_by_what_they_are() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    shop.run("pkey -in web.key -aes256 -passout pass:secret -out locked.key");
    shop.run("ec -in web.key -aes256 -passout pass:secret -out old.key");
    for (file, reason) in [
        ("locked.key", "locked.key:1: want a key that needs no passphrase"),
        ("old.key", "old.key:1: want a key that needs no passphrase"),
        ("web.crt", "web.crt: want a key in PEM form"),
    ] {
        let words = format!("{} {}", shop.path("web.crt").display(), shop.path(file).display());
        let (certificate, key) = words.split_once(' ').unwrap();
        let told = Pen::before([&server]).options("-E").word(certificate).options("-K").word(key).run();
        assert!(told.code == Some(1) && told.stderr.contains(reason), "{file}: {told:?}");
    }
}

#[test]
fn every_authority_of_a_file_lets_its_clients_in() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    for name in ["one", "two"] {
        shop.self_signed(name, EC, "");
        shop.signed(&format!("{name}-client"), name, EC, "basicConstraints=CA:FALSE\n", "");
    }
    let (one, two) = (shop.text("one.crt"), shop.text("two.crt"));
    shop.run("x509 -in one.crt -trustout -addtrust clientAuth -out trusted.crt");
    for (case, text) in [
        ("mark first", format!("\u{feff}{one}{two}")),
        ("mark between", format!("{one}\u{feff}{two}")),
        ("X509", format!("{}{two}", one.replace(" CERTIFICATE", " X509 CERTIFICATE"))),
        ("TRUSTED", format!("{}{two}", shop.text("trusted.crt"))),
    ] {
        let file = shop.write("ca.pem", text);
        let certificate = shop.path("web.crt").display().to_string();
        let pen = start(&shop, &server, &certificate).options("-R -G").word(file).start();
        for name in ["one", "two"] {
            let path = |ending: &str| shop.path(&format!("{name}-client.{ending}")).display().to_string();
            let said = s_client(&pen, &format!("-cert {} -key {}", path("crt"), path("key")));
            assert!(said.stdout.contains("good-bye-all"), "{case}: {name}: {said:?}");
        }
    }
}

#[test]
fn a_certificate_that_is_out_of_date_is_served_and_told() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    shop.signed("late", "root", EC, WEB, "-days -1");
    let server = brief_server();
    let path = |name: &str| shop.path(name).display().to_string();
    let pen = Pen::before([&server])
        .options("-E")
        .word(path("late.crt"))
        .options("-K")
        .word(path("late.key"))
        .start();
    assert!(s_client(&pen, "").stdout.contains("good-bye-all"));
    let told = format!("ssl_certificate: {}: the certificate expired on ", path("late.crt"));
    assert!(pen.stderr().contains(&told), "{}", pen.stderr());
}

#[test]
fn an_intermediate_certificate_that_is_missing_is_told() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = brief_server();
    shop.signed("int2", "int", EC, AUTHORITY, "");
    shop.signed("web2", "int2", EC, WEB, "");
    let text =
        |names: &[&str]| names.iter().map(|name| shop.text(&format!("{name}.crt"))).collect::<String>();
    for (names, missing) in [
        (&["web"][..], Some("int")),
        (&["web2", "int2", "root"], Some("int")),
        (&["web", "int", "root"], None),
        (&["web2", "root", "int", "int2"], None),
    ] {
        let file = shop.write("c.pem", text(names));
        let key = shop.path(&format!("{}.key", names[0])).display().to_string();
        let told = Pen::before([&server]).options("--check -E").word(&file).options("-K").word(key).run();
        assert_eq!(told.code, Some(0), "{names:?}: {told:?}");
        let expected = missing
            .map(|name| format!("ssl_certificate: {file}: \"{name}\", the issuer of the certificate "));
        match expected {
            Some(expected) => assert!(told.stderr.contains(&expected), "{names:?}: {told:?}"),
            None => assert!(!told.stderr.contains("issuer"), "{names:?}: {told:?}"),
        }
    }
}
