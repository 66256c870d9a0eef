//! Name servers: they know version 2 only, over TCP and before each datagram.

use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::process::{hears_datagrams, listening};
use crate::common::programs::{all_installed, run};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::door::{Log, PEN, between};
use std::net::{Ipv6Addr, SocketAddr};

const DIG: (&str, &str) = ("dig", "bind9-dnsutils");

/// What a client hears; nothing when nobody answers in time.
fn dig(to: SocketAddr, kind: &str, transport: &str) -> String {
    dig_for("+time=10", to, kind, transport)
}

fn dig_for(time: &str, to: SocketAddr, kind: &str, transport: &str) -> String {
    let (server, port) = (format!("@{}", to.ip()), to.port().to_string());
    let words = [&server[..], "-p", &port, transport, "+short", "+tries=1", time, "a.test", kind];
    let ended = run("dig", &words, "");
    if ended.code == Some(0) { ended.stdout.trim().replace('"', "") } else { String::new() }
}

/// On a port of its own for TCP and UDP.
fn name_server(dir: TempDir, port: u16, program: &str, words: &[&str]) -> Server {
    let address = format!("127.0.0.1:{port}");
    Server::start(dir, address, program, words, || listening(port) && hears_datagrams(port))
}

/// `told` makes of an answer the address that the server has for its client. `with_tcp` is a command for pen.
fn assert_told(server: &Server, kind: &str, with_tcp: &str, told: impl Fn(String) -> String) {
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
    for (option, transport) in [(with_tcp, "+tcp"), ("udp", "+notcp")] {
        let before = || Pen::before([&server.address]).command(option).command(format!("source {PEN}"));
        let pen = before().command("server 0 proxy v2").start();
        assert_eq!(told(dig(pen.address, kind, transport)), "127.0.0.1", "{transport}");
        let _pen = before().listen(v6).command("server 0 proxy v2").start();
        assert_eq!(told(dig(v6, kind, transport)), "::1", "{transport}");
    }
    let pen = Pen::before([&server.address]).command(format!("source {PEN}"));
    let pen = pen.command("server 0 proxy v1").start();
    assert_eq!(dig_for("+time=2", pen.address, kind, "+tcp"), "", "version 1 is none that it knows");
}

/// Who hears which address.
const ANSWERS: [(&str, &str); 3] =
    [("127.0.0.1/32", "192.0.2.4"), ("::1/128", "192.0.2.6"), ("127.0.0.9/32", "192.0.2.9")];

fn client_of(answer: &str) -> String {
    let client = ANSWERS.iter().find(|(_, told)| *told == answer);
    client.and_then(|(network, _)| network.split('/').next()).unwrap_or(answer).to_owned()
}

#[test]
fn unbound() {
    if !all_installed(&[("unbound", "unbound"), DIG]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display();
    let config = format!(
        "server:\n  interface: 127.0.0.1@{port}\n  proxy-protocol-port: {port}\n  access-control: 0.0.0.0/0 allow\n  \
         access-control: ::0/0 allow\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{here}\"\n  \
         pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  log-queries: yes\n  num-threads: 1\n  \
         local-zone: \"test.\" static\n  local-data: \"a.test. A 192.0.2.1\"\n\
         remote-control:\n  control-enable: no\n"
    );
    let config = dir.file("unbound.conf", &config).display().to_string();
    let server = name_server(dir, port, "unbound", &["-d", "-c", &config]);
    let log = Log::new(&server, "said", |line| between(line, "info: ", " a.test. A IN"));
    assert_told(&server, "A", "no peek", |answer| if answer.is_empty() { answer } else { log.next() });
}

fn dnsdist_config(port: u16, more: &str) -> String {
    format!(
        "setLocal(\"127.0.0.1:{port}\")\nsetACL({{\"0.0.0.0/0\", \"::/0\"}})\nsetSecurityPollSuffix(\"\")\n{more}"
    )
}

#[test]
fn dnsdist() {
    if !all_installed(&[("dnsdist", "dnsdist"), DIG]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let rules: String = ANSWERS
        .iter()
        .map(|(network, answer)| format!("addAction(\"{network}\", SpoofAction(\"{answer}\"))\n"))
        .collect();
    let config = dnsdist_config(port, &format!("setProxyProtocolACL({{\"{PEN}/32\"}})\n{rules}"));
    let config = dir.file("dnsdist.conf", &config).display().to_string();
    let server = name_server(dir, port, "dnsdist", &["--supervised", "--disable-syslog", "-C", &config]);
    assert_told(&server, "A", "no peek", |answer| client_of(&answer));
}

/// Answers with a text, the address of its client.
fn recursor() -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    let hook = "function preresolve(dq)\n  dq:addAnswer(pdns.TXT, '\"' .. dq.remoteaddr:toString() .. '\"', 1)\n  \
                return true\nend\n";
    let hook = dir.file("hook.lua", hook);
    let config = format!(
        "local-address=127.0.0.1\nlocal-port={port}\nproxy-protocol-from={PEN}\nallow-from=0.0.0.0/0,::/0\n\
         lua-dns-script={}\nsocket-dir={here}\nthreads=1\npdns-distributes-queries=no\nwrite-pid=no\n\
         security-poll-suffix=\nhint-file=no\ndnssec=off\ndisable-packetcache=yes\n",
        hook.display()
    );
    dir.file("recursor.conf", &config);
    let directory = format!("--config-dir={here}");
    name_server(dir, port, "pdns_recursor", &[&directory, "--daemon=no", "--disable-syslog"])
}

#[test]
fn powerdns_recursor() {
    if all_installed(&[("pdns_recursor", "pdns-recursor"), DIG]) {
        assert_told(&recursor(), "TXT", "no peek", |answer| answer);
    }
}

#[test]
fn knot_resolver() {
    if !all_installed(&[("kresd", "knot-resolver"), DIG]) {
        return;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let here = dir.path().display().to_string();
    let views: String = ANSWERS
        .iter()
        .map(|(network, answer)| format!("view:addr('{network}', policy.all(tell('{answer}')))\n"))
        .collect();
    let config = format!(
        "net.listen('127.0.0.1', {port}, {{kind = 'dns'}})\nnet.proxy_allowed({{'{PEN}'}})\n\
         modules = {{'view', 'policy'}}\ntrust_anchors.remove('.')\n\
         local function tell(address)\n  \
         return policy.ANSWER({{[kres.type.A] = {{rdata = kres.str2ip(address), ttl = 1}}}})\nend\n{views}"
    );
    let config = dir.file("kresd.conf", &config).display().to_string();
    let server = name_server(dir, port, "kresd", &["-n", "-q", "-c", &config, &here]);
    // Without `peek` the header may arrive before the question, and then it does not count.
    assert_told(&server, "A", "peek", |answer| client_of(&answer));
}

/// dnsdist before pen, which passes on whom it was told of, over UDP.
#[test]
fn a_chain_of_dnsdist_pen_and_a_recursor_keeps_the_client() {
    if !all_installed(&[("pdns_recursor", "pdns-recursor"), ("dnsdist", "dnsdist"), DIG]) {
        return;
    }
    let server = recursor();
    let pen = Pen::before([&server.address])
        .options("-U")
        .command(format!("source {PEN}"))
        .command("proxy_accept 127.0.0.8")
        .command("server 0 proxy v2")
        .start();
    let (dir, port) = (TempDir::new(), free_port());
    let newserver = format!(
        "newServer({{address=\"{}\", source=\"127.0.0.8\", useProxyProtocol=true, checkType=\"A\", \
         mustResolve=true, checkName=\"a.test.\", checkInterval=1}})\n",
        pen.address
    );
    let config = dnsdist_config(port, &newserver.replace("checkType=\"A\"", "checkType=\"TXT\""));
    let config = dir.file("dnsdist.conf", &config).display().to_string();
    let downstream = name_server(dir, port, "dnsdist", &["--supervised", "--disable-syslog", "-C", &config]);
    let to: SocketAddr = downstream.address.parse().unwrap();
    for _ in 0..3 {
        assert_eq!(dig(to, "TXT", "+notcp"), "127.0.0.1");
    }
    let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
    assert_eq!(status["totals"]["proxy_errors"], 0);
}
