//! HAProxy and nginx with configurations of a test's own, on ports of its own.

use super::process::listening;
use super::real::Server;
use super::root;
use super::tempdir::TempDir;

/// The module is a file of a package of its own.
pub const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

const HAPROXY_DEFAULTS: &str = "
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
";

/// With these sections behind the defaults.
pub fn haproxy(port: u16, sections: &str) -> Server {
    let dir = TempDir::new();
    let config = dir.file("haproxy.cfg", &format!("{HAPROXY_DEFAULTS}{sections}\n"));
    let config = config.display().to_string();
    Server::start(dir, format!("127.0.0.1:{port}"), "haproxy", &["-db", "-f", &config], || listening(port))
}

/// `main` is the main part, `blocks` what stands in `http` or `stream`.
pub fn nginx(port: u16, main: &str, blocks: &str) -> Server {
    let dir = TempDir::new();
    let here = dir.path().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {here}/{name};\n"))
        .collect();
    let blocks = blocks.replace("http {", &format!("http {{\naccess_log off;\n{temporary}"));
    let user = if root() { "user root;\n" } else { "" };
    let config = format!(
        "{user}{main}\ndaemon off;\nworker_processes 1;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\n\
         events {{}}\n{blocks}\n"
    );
    let config = dir.file("nginx.conf", &config).display().to_string();
    let error_log = format!("{here}/error.log");
    let words = ["-p", &here, "-e", &error_log, "-c", &config];
    Server::start(dir, format!("127.0.0.1:{port}"), "nginx", &words, || listening(port))
}
