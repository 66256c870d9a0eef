//! `http replace` and `append` with the web servers that people use: whatever a client sends, none of them is told a
//! client that pen did not name, and what browsers and scripts do works as without pen. Each server has a configuration
//! of its own, on ports of its own, and is ended.

mod common;

use common::client::Client;
use common::pattern;
use common::pen::Pen;
use common::ports::free_port;
use common::programs::{all_installed, run};
use common::real::Server;
use common::tempdir::TempDir;
use std::fs;

/// A server that tells in each answer, in the header `Told` or in the body, who it was told its client is.
type Start = fn(dir: TempDir, port: u16) -> Server;

/// The program of each, and its package.
const SERVERS: [(&str, &str, Start); 6] = [
    ("apache2", "apache2", apache),
    ("nginx", "nginx", nginx),
    ("haproxy", "haproxy", haproxy),
    ("node", "nodejs", node),
    ("python3", "python3", python),
    ("python3", "python3", wsgi),
];

fn apache(dir: TempDir, port: u16) -> Server {
    let modules: String = [
        ("mpm_event", "mpm_event"),
        ("authz_core", "authz_core"),
        ("headers", "headers"),
        ("http2", "http2"),
    ]
    .map(|(name, file)| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{file}.so\n"))
    .concat();
    let here = dir.path().display().to_string();
    fs::create_dir(dir.path().join("htdocs")).unwrap();
    dir.file("htdocs/index.html", "hello\n");
    let config = format!(
        "ServerRoot {here}\nServerName a.test\nListen 127.0.0.1:{port}\nPidFile pid\nErrorLog error.log\n{modules}\
         DocumentRoot {here}/htdocs\nProtocols h2c http/1.1\nHttpProtocolOptions Unsafe\nMaxKeepAliveRequests 0\n\
         Header always set Told \"expr=%{{HTTP:X-Forwarded-For}}\"\n"
    );
    let config = dir.file("apache.conf", &config).display().to_string();
    Server::on_port(dir, port, "apache2", &["-f", &config, "-DFOREGROUND"])
}

fn nginx(dir: TempDir, port: u16) -> Server {
    let here = dir.path().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name};\n"))
        .concat();
    let config = dir.file(
        "nginx.conf",
        &format!(
            "daemon off;\nworker_processes 1;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}server {{ listen 127.0.0.1:{port}; keepalive_requests 100000;\n\
             underscores_in_headers on; ignore_invalid_headers off;\n\
             location / {{ add_header Told \"$http_x_forwarded_for\" always; return 200 hello; }} }}\n}}\n"
        ),
    );
    let (config, error_log) = (config.display().to_string(), format!("{here}/error.log"));
    Server::on_port(dir, port, "nginx", &["-p", &here, "-e", &error_log, "-c", &config])
}

fn haproxy(dir: TempDir, port: u16) -> Server {
    let config = dir.file(
        "haproxy.cfg",
        &format!(
            "defaults\n    mode http\n    timeout client 30s\n    timeout connect 5s\n    timeout server 30s\n\
             listen telling\n    bind 127.0.0.1:{port}\n    option accept-invalid-http-request\n\
             \x20   http-request return status 200 content-type text/plain lf-string \"hello\" \
             hdr Told \"%[req.fhdr(x-forwarded-for)]\"\n"
        ),
    );
    Server::on_port(dir, port, "haproxy", &["-db", "-f", &config.display().to_string()])
}

/// Reads the bodies of requests, and agrees to a protocol that sends back what it gets.
const NODE: &str = r"
const server = require('http').createServer({ insecureHTTPParser: true }, (request, response) => {
    response.setHeader('Told', String(request.headers['x-forwarded-for']));
    let bytes = 0;
    request.on('data', (data) => { bytes += data.length; });
    request.on('end', () => { response.end(`${bytes} bytes\n`); });
});
server.on('upgrade', (request, socket, head) => {
    if (request.headers.upgrade !== 'echo') {
        socket.end('HTTP/1.1 400 No\r\nConnection: close\r\n\r\n');
        return;
    }
    socket.write(`HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: echo\r\nTold: ${request.headers['x-forwarded-for']}\r\n\r\n`);
    socket.write(head);
    socket.pipe(socket);
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
";

fn node(dir: TempDir, port: u16) -> Server {
    let script = dir.file("server.js", NODE).display().to_string();
    Server::on_port(dir, port, "node", &[&script, &port.to_string()])
}

/// Keeps connections, and takes requests without a version and header lines that are none.
const PYTHON: &str = r"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        told = ', '.join(self.headers.get_all('X-Forwarded-For') or []).encode()
        self.wfile.write(b'HTTP/1.1 200 OK\r\nTold: ' + told + b'\r\nContent-Length: 5\r\n\r\nhello')
    do_POST = do_HEAD = do_OPTIONS = do_GET
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";

fn python(dir: TempDir, port: u16) -> Server {
    let script = dir.file("server.py", PYTHON).display().to_string();
    Server::on_port(dir, port, "python3", &[&script, &port.to_string()])
}

/// Tells the variable that a program sees, in which `_` and `-` are one.
const WSGI: &str = r"
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
class Quiet(WSGIRequestHandler):
    def log_message(self, *words):
        pass
def program(environ, start_response):
    environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('200 OK', [('Told', environ.get('HTTP_X_FORWARDED_FOR', '')), ('Content-Length', '5')])
    return [b'hello']
make_server('127.0.0.1', int(sys.argv[1]), program, handler_class=Quiet).serve_forever()
";

fn wsgi(dir: TempDir, port: u16) -> Server {
    let script = dir.file("server.py", WSGI).display().to_string();
    Server::on_port(dir, port, "python3", &[&script, &port.to_string()])
}

/// Plays with each of the servers that are there.
fn each_server(play: impl Fn(&str, &Server)) {
    for (program, package, start) in SERVERS {
        if all_installed(&[(program, package)]) {
            play(program, &start(TempDir::new(), free_port()));
        }
    }
}

/// What a client gets that sends these bytes and ends.
fn say(pen: &Pen, bytes: &[u8]) -> String {
    let mut client = pen.connect_from("127.0.0.7");
    // A server that refuses the beginning resets the connection before the end is sent.
    let _ = std::io::Write::write_all(&mut client.stream, bytes);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    let mut got = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut got);
    String::from_utf8_lossy(&got).into_owned()
}

/// A request that must not be found, or must be told the truth.
const FORGED: &str =
    "GET /forged HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";

/// What a client could try to be taken for somebody else; `@` stands for a forged line.
fn attempts() -> Vec<Vec<u8>> {
    let mut attempts: Vec<Vec<u8>> = [
        "GET / HTTP/1.1\r\nHost: a\r\n@\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For : 6.6.6.6\r\n @\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r@\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n@\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\n\n@\r\n\r\n",
        "GET /\r\n@\r\n\r\n",
        "GET /\r\n \r\n@\r\n\r\n",
        "GET /\r\nFrom x\r\n@\r\n\r\n",
        "GET / RTSP/1.0\r\n@\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n@\r\n\r\n",
        "PRI * HTTP/2.0\r\n@\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n@\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 200\r\n\r\nabcde",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n@\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 200\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nnonsense\r\nContent-Length: 200\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nA: b\nContent-Length: 200\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    ]
    .map(|text| text.replace('@', "X-Forwarded-For: 6.6.6.6").into_bytes())
    .into();
    attempts.push(b"\r\n".repeat(1 << 20));
    for blank in [0x0b, 0x0c, 0x1c, 0x85, 0xa0] {
        attempts.push(
            [b"GET", &[blank][..], b"/", &[blank], b"HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"].concat(),
        );
        attempts.push(
            [b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For", &[blank][..], b": 6.6.6.6\r\n\r\n"].concat(),
        );
    }
    attempts
}

#[test]
fn nobody_is_taken_for_somebody_else() {
    each_server(|program, server| {
        let pen = Pen::before([&server.address]).command("http replace").start();
        for attempt in attempts() {
            let got = say(&pen, &[&attempt, FORGED.as_bytes()].concat());
            let shown = attempt[..attempt.len().min(100)].escape_ascii();
            assert!(!got.contains("6.6.6.6"), "{program}: {shown}: {got}");
            for told in got
                .lines()
                .filter_map(|line| line.to_ascii_lowercase().strip_prefix("told: ").map(str::to_owned))
            {
                // One that refuses a request at its first line has been told nothing.
                assert!(["127.0.0.7", ""].contains(&told.trim()), "{program}: {shown}: {got}");
            }
        }
        // And what is proper is told the truth in every request.
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
        let mut client = pen.connect_from("127.0.0.7");
        client.send(format!("{}{FORGED}", request.repeat(9)));
        // A server that keeps no connections resets it for what it has not read.
        let mut got = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut got);
        let got = String::from_utf8_lossy(&got).into_owned();
        let told = got.to_ascii_lowercase().matches("told: 127.0.0.7").count();
        // One of them keeps no connections.
        assert!(told == 10 || told == 1 && got.contains("WSGIServer"), "{program}: {got}");
    });
}

/// Standard output of curl, which must succeed.
fn curl(words: &[&str]) -> String {
    let ended = run("curl", &[&["-sS", "--max-time", "20"], words].concat(), "");
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended.stdout
}

#[test]
fn what_clients_do_works_as_without_pen() {
    if !all_installed(&[("curl", "curl")]) {
        return;
    }
    const UPLOAD_BYTES: usize = 3_000_000;
    let dir = TempDir::new();
    let upload = dir.path().join("upload");
    pattern::write(&mut fs::File::create(&upload).unwrap(), UPLOAD_BYTES).unwrap();
    let data = format!("@{}", upload.display());
    each_server(|program, server| {
        for mode in ["replace", "append"] {
            let pen = Pen::before([&server.address]).command(format!("http {mode}")).start();
            let url = format!("http://{}/", pen.address);
            // Several on one connection, with HTTP/1.0, and asking for HTTP/2 where that is not to be had.
            for words in [&["-i", &url, &url, &url][..], &["-i0", &url], &["-i", "--http2", &url, &url]] {
                let urls = words.iter().filter(|word| ***word == url).count();
                if words.contains(&"--http2") && mode == "append" {
                    continue; // it gets it
                }
                let got = curl(words).to_ascii_lowercase();
                let told = got.matches("told: 127.0.0.1\r\n").count();
                assert!(told == urls, "{program}: {mode} {words:?}: {got}");
            }
            if program != "haproxy" {
                for more in [&[][..], &["-H", "Expect: 100-continue"], &["-H", "Transfer-Encoding: chunked"]]
                {
                    let is_chunked = more.iter().any(|word| word.contains("chunked"));
                    if is_chunked && program == "python3" {
                        continue; // it knows no chunks
                    }
                    let got = curl(&[&["-i", "--data-binary", &data, &url], more].concat());
                    assert!(
                        got.to_ascii_lowercase().contains("told: 127.0.0.1\r\n"),
                        "{program}: {more:?}: {got}"
                    );
                    assert!(program != "node" || got.contains("3000000 bytes"), "{got}");
                }
            }
        }
    });
}

#[test]
fn http2_passes_where_it_is_allowed() {
    if !all_installed(&[("curl", "curl"), ("apache2", "apache2")]) {
        return;
    }
    let server = apache(TempDir::new(), free_port());
    let forged = ["-i", "-H", "X-Forwarded-For: 6.6.6.6", "--http2-prior-knowledge"];
    let pen = Pen::before([&server.address]).command("http replace").start();
    let url = format!("http://{}/", pen.address);
    let refused = run("curl", &[&["-sS", "--max-time", "20"], &forged[..], &[&url]].concat(), "");
    assert!(refused.code != Some(0) && !refused.stdout.contains("6.6.6.6"), "{refused:?}");
    pen.control("http replace h2");
    let got = curl(&[&forged[..], &[&url]].concat());
    assert!(got.starts_with("HTTP/2 "), "{got}");
}

#[test]
fn another_protocol_works_once_the_server_has_agreed() {
    if !all_installed(&[("node", "nodejs")]) {
        return;
    }
    let server = node(TempDir::new(), free_port());
    let pen = Pen::before([&server.address]).command("http replace").start();
    let mut client: Client = pen.connect_from("127.0.0.7");
    // What is sent too early waits.
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n{FORGED}"));
    assert_eq!(client.line(), "HTTP/1.1 101 Yes\r");
    for _ in 0..2 {
        client.line();
    }
    assert_eq!((client.line().as_str(), client.line().as_str()), ("Told: 127.0.0.7\r", "\r"));
    for line in FORGED.lines() {
        assert_eq!(client.line().trim_end(), line);
    }
    assert_eq!(client.exchange("anything"), "anything");
}
