//! Tells the linker how to make the program smaller in memory; docs/performance.md tells what each part is worth.
//!
//! Everything here is left out where the linker may not know it, and pen then works as well. Cargo calls this.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.ld");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    pack_relocations();
    link_unwinder_statically();
    if variable("PROFILE") == "release" && !names_a_linker(&variable("CARGO_ENCODED_RUSTFLAGS")) {
        lay_out();
    }
}

/// One bit for each pointer that the start must adjust, instead of 24 bytes. All of them are read at start. Needs glibc
/// 2.36 or later when pen runs, so the C library it is built with must be one; linkers that do not know it say so and go on.
fn pack_relocations() {
    println!("cargo::rustc-link-arg-bin=pen=-Wl,-z,pack-relative-relocs");
}

/// rustc asks for `-lgcc_s`, the shared library that unwinds the stack after a panic. Found first is a file of this
/// name that sends the linker to the static one, of which pen needs a fifth.
fn link_unwinder_statically() {
    let crosses = variable("HOST") != variable("TARGET");
    let static_already =
        variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if crosses || static_already || !has_static_unwinder() {
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
    let answer = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    answer.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute())
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
