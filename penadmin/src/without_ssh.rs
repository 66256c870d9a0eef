//! What stands in for `ssh` in a build without it: there is no door.

use crate::office::Office;
use std::path::PathBuf;
use std::sync::Arc;

/// As with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: String,
    pub host_key: PathBuf,
}

/// None.
pub enum Door {}

impl Door {
    /// # Errors
    /// Always.
    pub fn bind(_: Settings) -> Result<Door, String> {
        Err("--ssh: this penadmin was built without ssh".into())
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn open(self, _: &Arc<Office>) -> std::io::Result<()> {
        match self {}
    }
}
