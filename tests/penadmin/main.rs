//! `penadmin` over real pens: its API, its description, and its page in a real browser.

mod api;
#[path = "../common/mod.rs"]
mod common;
mod desk;
