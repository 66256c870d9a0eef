//! libpen.so: an unmodified program that is started with it in `LD_PRELOAD` connects to a server of its own choice.
//!
//! `connect()` to the address that is to be intercepted goes to a server that pen's policies choose, and to the next one
//! when that fails. The program learns only the final outcome, also with a non-blocking socket: then the same descriptor
//! is connected again while the program waits, and what would have told it of the failure is held back.
//!
//! It lives in a program of others: it says nothing but one line on standard error when it cannot work, it ends nothing,
//! it keeps errno, and a panic of it means that the system's own function is called. `door.rs` is the only place with
//! `unsafe`; everything else is ordinary Rust over what `door.rs` offers.

// The functions that it replaces are those of Linux and of the GNU C library; elsewhere it is empty.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
// A test program does not have its own functions replaced, so nothing calls ours.
#![cfg_attr(test, allow(dead_code))]

mod choice;
mod control;
mod door;
mod registrations;
mod settings;
mod shim;
mod sockets;
mod thread;
mod wait;
mod watchdog;
