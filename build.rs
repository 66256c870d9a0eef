//! Tells the linker how to make the program smaller in memory; docs/performance.md tells what each part is worth.
//!
//! Everything here is left out where the linker may not know it, and pen then works as well. Cargo calls this.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first C library that reads packed relocations.
const GLIBC_WITH_PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.ld");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    // What is asked of this machine says nothing about another one.
    if variable("HOST") == variable("TARGET") {
        pack_relocations();
        link_unwinder_statically();
    }
    if variable("PROFILE") == "release" && !names_a_linker(&variable("CARGO_ENCODED_RUSTFLAGS")) {
        lay_out();
    }
}

/// One bit for each pointer that the start must adjust, instead of 24 bytes. All of them are read at start. Linkers that
/// cannot do it say so and go on.
fn pack_relocations() {
    if glibc_version().is_some_and(|version| version >= GLIBC_WITH_PACKED) {
        println!("cargo::rustc-link-arg-bin=pen=-Wl,-z,pack-relative-relocs");
    }
}

/// From `glibc 2.36`.
fn glibc_version() -> Option<(u32, u32)> {
    let answer = answer_of("getconf", "GNU_LIBC_VERSION")?;
    let (major, minor) = answer.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// rustc asks for `-lgcc_s`, the shared library that unwinds the stack after a panic. Found first is a file of this
/// name that sends the linker to the static one, of which pen needs a fifth.
fn link_unwinder_statically() {
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    if features.split(',').any(|feature| feature == "crt-static") || !has_static_unwinder() {
        return;
    }
    let directory = PathBuf::from(variable("OUT_DIR"));
    let written = fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n");
    written.expect("cargo lets build scripts write to OUT_DIR");
    println!("cargo::rustc-link-search=native={}", directory.display());
}

/// gcc answers with the bare name when it has no such file.
fn has_static_unwinder() -> bool {
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    answer_of(&linker, "-print-file-name=libgcc_eh.a").is_some_and(|path| Path::new(&path).is_absolute())
}

/// What a program prints; nothing when it is not there.
fn answer_of(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// `layout.ld` adds to the linker's own script: GNU ld and lld know how, others do not.
fn lay_out() {
    println!("cargo::rustc-link-arg-bin=pen=-T{}/layout.ld", variable("CARGO_MANIFEST_DIR"));
}

fn names_a_linker(flags: &str) -> bool {
    ["-fuse-ld=", "linker=", "linker-flavor="].iter().any(|word| flags.contains(word))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
