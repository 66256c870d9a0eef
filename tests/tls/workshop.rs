//! Certificates as people make them, with `openssl`: also such as no careful library makes.

use crate::common::programs::{all_installed, command};
use crate::common::tempdir::TempDir;
use std::fs;
use std::path::PathBuf;

/// A directory in which `openssl` works. For each NAME there are `NAME.key`, `NAME.crt` and what it was made from.
pub struct Workshop {
    dir: TempDir,
}

pub const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
/// The extensions of an ordinary certificate for web.test.
pub const WEB: &str = "subjectAltName=DNS:web.test\nbasicConstraints=CA:FALSE\n";
pub const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n";

impl Workshop {
    /// `None`, and said so, without `openssl`.
    pub fn open() -> Option<Workshop> {
        all_installed(&[("openssl", "openssl")]).then(|| Workshop { dir: TempDir::new() })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(file), bytes).unwrap();
        self.path(file).display().to_string()
    }

    /// Runs `openssl` with these words, behind `before` if that says something.
    pub fn run_after(&self, before: &str, words: &str) -> String {
        let mut all = before.split_whitespace().chain(["openssl"]).chain(words.split_whitespace());
        let mut command = command(all.next().unwrap());
        let output = command.args(all).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn run(&self, words: &str) -> String {
        self.run_after("", words)
    }

    /// A certificate that signs itself, with a key of this kind and these extensions, and CA:TRUE as openssl has it.
    pub fn self_signed(&self, name: &str, key: &str, extensions: &str) {
        let adds: String =
            extensions.lines().map(|line| format!(" -addext {}", line.replace(' ', ""))).collect();
        self.run(&format!(
            "req -x509 -newkey {key} -nodes -subj /CN={name} -keyout {name}.key -out {name}.crt -days 30{adds}"
        ));
    }

    /// A certificate that `issuer` signed, with these words besides; without extensions it is of version 1.
    pub fn signed(&self, name: &str, issuer: &str, key: &str, extensions: &str, words: &str) {
        self.run(&format!("req -newkey {key} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.write(&format!("{name}.ext"), extensions);
        let from = if extensions.is_empty() { String::new() } else { format!(" -extfile {name}.ext") };
        let days = if words.contains("-days") { "" } else { " -days 30" };
        self.run(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial -out {name}.crt{days}{from} {words}"
        ));
    }

    /// An authority `root`, an intermediate one `int`, and `web` for web.test.
    pub fn three(self) -> Workshop {
        self.self_signed("root", EC, "");
        self.signed("int", "root", EC, AUTHORITY, "");
        self.signed("web", "int", EC, WEB, "");
        self
    }
}
