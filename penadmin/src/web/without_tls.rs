//! What stands in for `tls` in a build without it: there is no certificate.

use std::path::PathBuf;
use tokio::net::TcpStream;

/// None.
pub enum Certificate {}

impl Certificate {
    /// # Errors
    /// Always.
    pub fn load(_: PathBuf, _: PathBuf) -> Result<Certificate, String> {
        Err("--tls-cert: this penadmin was built without TLS".into())
    }

    pub fn reload(&self) -> Result<(), String> {
        match *self {}
    }

    pub async fn accept(&self, _: TcpStream) -> Option<TcpStream> {
        match *self {}
    }
}
