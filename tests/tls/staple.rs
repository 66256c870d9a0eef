//! OCSP responses, made by `openssl`: which are stapled, and for how long.

use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::programs::{all_installed, run};
use crate::common::wait::eventually;
use crate::workshop::{EC, WEB, Workshop};
use nix::sys::signal::Signal;
use std::fs;

impl Workshop {
    /// `NAME.ocsp`, made by `issuer` about the certificate `about`, with this letter for its state, as at another time.
    fn respond(&self, name: &str, issuer: &str, about: &str, state: &str, time: &str) {
        let serial = self.run(&format!("x509 -in {about}.crt -noout -serial"));
        let serial = serial.trim().trim_start_matches("serial=");
        let revoked = if state == "R" { "200101000000Z" } else { "" };
        self.write(
            "index.txt",
            format!("{state}\t491231000000Z\t{revoked}\t{serial}\tunknown\t/CN={about}\n"),
        );
        self.run(&format!("ocsp -issuer {issuer}.crt -cert {about}.crt -reqout request.der"));
        let at = if time.is_empty() { String::new() } else { format!("faketime -f {time}") };
        self.run_after(
            &at,
            &format!(
                "ocsp -index index.txt -CA {issuer}.crt -rsigner {issuer}.crt -rkey {issuer}.key -reqin request.der \
                 -respout {name}.ocsp -nmin 1"
            ),
        );
    }

    fn before(&self, server: &Backend) -> Start {
        let file = |name: &str| self.path(name).display().to_string();
        Pen::before([server]).options("-E").word(file("web.crt")).options("-K").word(file("web.key"))
    }
}

fn is_stapled(pen: &Pen) -> bool {
    let address = pen.address.to_string();
    let said = run("openssl", &["s_client", "-connect", &address, "-status", "-servername", "web.test"], "");
    assert!(said.stdout.contains("OCSP response"), "{said:?}");
    said.stdout.contains("Cert Status: good")
}

#[test]
fn a_response_is_stapled_while_it_says_something_good_of_the_certificate() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    if !all_installed(&[("faketime", "faketime")]) {
        return;
    }
    let server = Backend::named("A");
    // Another authority of the same name, and a certificate with the same serial number.
    let serial = shop.run("x509 -in web.crt -noout -serial");
    let serial = serial.trim().trim_start_matches("serial=");
    shop.self_signed("elsewhere", EC, "");
    shop.signed("twin", "elsewhere", EC, WEB, &format!("-set_serial 0x{serial}"));
    shop.signed("other", "int", EC, WEB, "");
    shop.respond("good", "int", "web", "V", "");
    shop.respond("other", "int", "other", "V", "");
    shop.respond("twin", "elsewhere", "twin", "V", "");
    shop.respond("revoked", "int", "web", "R", "");
    shop.respond("stale", "int", "web", "V", "-3d");
    shop.respond("early", "int", "web", "V", "+3d");
    let pen = shop.before(&server).start();
    for (name, is_good, reason) in [
        ("good", true, ""),
        ("other", false, "the response is for another certificate; it is not stapled"),
        ("twin", false, "the response is for another certificate; it is not stapled"),
        ("revoked", false, "the response says that the certificate was revoked; it is not stapled"),
        ("stale", false, "the response was good until "),
        ("early", false, "the response is not valid before "),
    ] {
        let file = shop.path(&format!("{name}.ocsp")).display().to_string();
        assert_eq!(pen.control(&format!("ssl_ocsp_response {file}")), "", "{name}");
        assert_eq!(is_stapled(&pen), is_good, "{name}: {}", pen.stderr());
        let told = pen.stderr();
        assert!(is_good || told.contains(&format!("ssl_ocsp_response: {file}: {reason}")), "{name}: {told}");
    }
    assert_eq!(pen.control("no ssl_ocsp_response"), "");
    assert!(!is_stapled(&pen));
    let refused = pen.control(&format!("ssl_ocsp_response {}", shop.path("web.crt").display()));
    assert!(refused.contains("web.crt: want an OCSP response in DER form that was successful"), "{refused}");
    let checked = shop
        .before(&server)
        .options("--check")
        .command(format!("ssl_ocsp_response {}", shop.path("other.ocsp").display()))
        .run();
    assert!(checked.code == Some(0) && checked.stderr.contains("for another certificate"), "{checked:?}");
}

#[test]
fn a_response_whose_time_is_over_is_stapled_no_more_until_there_is_a_newer_one() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    if !all_installed(&[("faketime", "faketime")]) {
        return;
    }
    let server = Backend::named("A");
    shop.respond("now", "int", "web", "V", "-50s"); // good for ten seconds more
    let file = shop.path("now.ocsp").display().to_string();
    let pen = shop.before(&server).command(format!("ssl_ocsp_response {file}")).start();
    assert!(is_stapled(&pen), "{}", pen.stderr());
    eventually("the time to be over", || is_stapled(&pen), |stapled| !stapled);
    is_stapled(&pen);
    assert_eq!(pen.stderr().matches("it is not stapled any more").count(), 1, "{}", pen.stderr());
    shop.respond("newer", "int", "web", "V", "");
    fs::rename(shop.path("newer.ocsp"), &file).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the newer one", || is_stapled(&pen), |stapled| *stapled);
}

#[test]
fn sites_staple_what_is_theirs() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = Backend::named("A");
    shop.respond("web", "int", "web", "V", "");
    fs::create_dir(shop.path("sites")).unwrap();
    for ending in ["crt", "key", "ocsp"] {
        fs::copy(shop.path(&format!("web.{ending}")), shop.path(&format!("sites/web.test.{ending}")))
            .unwrap();
    }
    let sites = shop.path("sites").display().to_string();
    let pen = shop.before(&server).command(format!("ssl_sni_path {sites}")).start();
    assert!(is_stapled(&pen), "{}", pen.stderr());
    shop.respond("web", "int", "web", "R", "");
    fs::copy(shop.path("web.ocsp"), shop.path("sites/web.test.ocsp")).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the revoked one", || is_stapled(&pen), |stapled| !stapled);
    assert!(pen.stderr().contains("web.test.ocsp: the response says that the certificate was revoked"));
}
