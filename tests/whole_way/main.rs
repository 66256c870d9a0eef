//! The whole way, with real parts on both sides: Apache behind pen, curl before it, GoAccess behind the logs, Chromium
//! before the page. The steps are those of docs/recipes.md and docs/status-page.md.
//!
//! A test that does not find a program says so and does nothing; under `CI=true` it fails.

#[path = "../common/mod.rs"]
mod common;

mod apache;
mod browser;
mod control;
mod formats;
mod json_log;
mod logs;
mod pages;
mod programs;
mod prometheus;
mod site;
