//! Web servers and proxies.

use crate::common::balancers::{STREAM_MODULE, haproxy, nginx};
use crate::common::ports::free_port;
use crate::common::programs::all_installed;
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::{root, skip, skip_without};
use crate::door::{Door, PEN, assert_told};
use nix::unistd::{User, chown};
use std::path::Path;

/// The client as an answer tells it: in the line of the head with this name, or else in the last line.
fn asked(door: &Door, target: &str, name: &str) -> String {
    let answer = door.converse(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
    let line = answer.lines().find_map(|line| line.strip_prefix(name)).or(answer.lines().next_back());
    line.unwrap_or("nothing").trim().to_owned()
}

#[test]
fn apache() {
    if !all_installed(&[("apache2", "apache2")]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display();
    let load = |module| format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n");
    let modules: String = ["mpm_event", "authz_core", "remoteip", "headers"].into_iter().map(load).collect();
    let user = if root() { "User nobody\nGroup nogroup\n" } else { "" };
    let config = format!(
        "ServerRoot {here}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {here}/pid\nMutex posixsem\n\
         DefaultRuntimeDir {here}\nErrorLog {here}/error.log\nDocumentRoot {here}\n{modules}{user}\
         StartServers 1\nRemoteIPProxyProtocol On\nHeader always set Client \"expr=%{{REMOTE_ADDR}}\"\n"
    );
    let config = dir.file("apache.conf", &config).display().to_string();
    let server = Server::on_port(dir, port, "apache2", &["-f", &config, "-DFOREGROUND"]);
    assert_told(&server, &["v1", "v2"], |door| asked(door, "/", "Client:"));
}

#[test]
fn nginx_http() {
    if !all_installed(&[("nginx", "nginx")]) {
        return;
    }
    let port = free_port();
    let blocks = format!(
        "http {{\nset_real_ip_from {PEN};\nreal_ip_header proxy_protocol;\n\
         server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{ return 200 \"$remote_addr\\n\"; }} }}\n}}"
    );
    let server = nginx(port, "", &blocks);
    assert_told(&server, &["v1", "v2"], |door| asked(door, "/", "no such line"));
}

#[test]
fn nginx_stream() {
    if !all_installed(&[("nginx", "nginx")]) {
        return;
    }
    if !Path::new(STREAM_MODULE).exists() {
        return skip_without("libnginx-mod-stream");
    }
    let port = free_port();
    let blocks = format!(
        "stream {{\nset_real_ip_from {PEN};\n\
         server {{ listen 127.0.0.1:{port} proxy_protocol; return \"$remote_addr\\n\"; }}\n}}"
    );
    let server = nginx(port, &format!("load_module {STREAM_MODULE};"), &blocks);
    assert_told(&server, &["v1", "v2"], |door| door.converse(b"").trim().to_owned());
}

#[test]
fn haproxy_that_expects_it_of_pen() {
    if !all_installed(&[("haproxy", "haproxy")]) {
        return;
    }
    let port = free_port();
    let section = format!(
        "listen telling\n    mode http\n    bind 127.0.0.1:{port}\n    \
         tcp-request connection expect-proxy layer4 if {{ src {PEN} }}\n    \
         http-request return status 200 content-type text/plain lf-string \"%[src]\\n\""
    );
    let server = haproxy(port, &section);
    assert_told(&server, &["v1", "v2"], |door| asked(door, "/", "no such line"));
    let direct = asked(&Door::Inet(server.address.parse().unwrap()), "/", "no such line");
    assert_eq!(direct, "127.0.0.1", "others are served without");
}

#[test]
fn lighttpd() {
    if !all_installed(&[("lighttpd", "lighttpd")]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display();
    dir.file("tell.sh", "echo\necho $REMOTE_ADDR\n");
    let config = format!(
        "server.modules = (\"mod_extforward\", \"mod_cgi\")\nserver.document-root = \"{here}\"\n\
         server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.errorlog = \"{here}/error.log\"\n\
         extforward.hap-PROXY = \"enable\"\nextforward.forwarder = (\"{PEN}\" => \"trust\")\n\
         cgi.assign = (\".sh\" => \"/bin/sh\")\n"
    );
    let config = dir.file("lighttpd.conf", &config).display().to_string();
    let server = Server::on_port(dir, port, "lighttpd", &["-D", "-f", &config]);
    assert_told(&server, &["v1", "v2"], |door| asked(door, "/tell.sh", "no such line"));
}

#[test]
fn varnish() {
    if !all_installed(&[("varnishd", "varnish")]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let vcl = "vcl 4.1;\nbackend none none;\nsub vcl_recv { return (synth(200)); }\n\
               sub vcl_synth { set resp.http.Client = client.ip; return (deliver); }\n";
    let vcl = dir.file("default.vcl", vcl).display().to_string();
    let (work, listen) = (dir.path().join("work").display().to_string(), format!("127.0.0.1:{port},PROXY"));
    let words = ["-F", "-n", &work, "-a", &listen, "-f", &vcl, "-j", "none", "-s", "malloc,8m"];
    let server = Server::on_port(dir, port, "varnishd", &words);
    assert_told(&server, &["v1", "v2"], |door| asked(door, "/", "Client:"));
}

#[test]
fn squid() {
    if !all_installed(&[("squid", "squid")]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    if root() {
        // As whom it serves.
        let Some(user) = User::from_name("proxy").unwrap() else { return skip("no user proxy") };
        chown(dir.path(), Some(user.uid), None).unwrap();
    }
    let here = dir.path().display();
    let config = format!(
        "http_port 127.0.0.1:{port} require-proxy-header\nacl pen src {PEN}\nproxy_protocol_access allow pen\n\
         http_access deny all\ndeny_info 302:http://told/%i all\npid_filename none\naccess_log none\n\
         cache_log {here}/cache.log\ncoredump_dir {here}\nshutdown_lifetime 0 seconds\n\
         visible_hostname squid.test\npinger_enable off\n"
    );
    let config = dir.file("squid.conf", &config).display().to_string();
    let server = Server::on_port(dir, port, "squid", &["-N", "-f", &config]);
    assert_told(&server, &["v1", "v2"], |door| {
        let told = asked(door, "http://a.test/", "Location: http://told/");
        told.replace("%3A", ":")
    });
}
