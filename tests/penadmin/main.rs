//! `penadmin` over real pens: its API, what describes it, and its page in a real browser.

mod agent;
mod api;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod desk;
mod ssh;
mod ssh_peers;
