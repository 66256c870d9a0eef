"""Starts programs of others with libpen and says which server each of their connections reached: others.py LIBPEN.SO

Half of the servers refuse. One line for each program that is installed: its name, and the servers that it reached, or
what went wrong. Not run by the tests, because few machines have all of these programs."""
import os, re, shutil, socket, subprocess, sys, tempfile, threading

library = os.path.abspath(sys.argv[1])


def port_of(listener):
    return listener.getsockname()[1]


def refusing():
    holder = socket.socket()
    holder.bind(('127.0.0.1', 0))
    return holder


def mariadb(name, client):
    text = b'\xff\x10\x04reached-' + name
    client.sendall(len(text).to_bytes(3, 'little') + b'\0' + text)


def postgres(name, client):
    if client.recv(8)[4:] == b'\x04\xd2\x16\x2f':
        client.sendall(b'N')  # no TLS
        client.recv(1000)
    fields = b'SFATAL\0C28000\0Mreached-' + name + b'\0\0'
    client.sendall(b'E' + (len(fields) + 4).to_bytes(4, 'big') + fields)


def redis(name, client):
    while request := client.recv(1000):
        client.sendall(b'+reached-' + name + b'\r\n' if b'PING' in request.upper() else b'+OK\r\n')


def http(name, client):
    client.recv(10000)
    body = b'reached-' + name
    client.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))


def git(name, client):
    client.recv(10000)
    client.sendall(b'HTTP/1.1 404 reached-' + name + b'\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')


def ssh(name, client):
    client.sendall(b'SSH-2.0-reached-' + name + b'\r\n')
    client.recv(1000)


def server(speak, name):
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(100)

    def serve(client):
        with client:
            try:
                speak(name, client)
            except OSError:
                pass

    def accept():
        while True:
            threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


work = tempfile.mkdtemp()
java_source = os.path.join(work, 'Reach.java')
with open(java_source, 'w') as file:
    file.write('''
import java.net.*; import java.nio.*; import java.nio.channels.*; import java.net.http.*;
public class Reach { public static void main(String[] a) throws Exception {
  int port = Integer.parseInt(a[1]); String url = "http://127.0.0.1:" + port + "/";
  for (int i = 0; i < 4; i++) {
    if (a[0].equals("url")) System.out.println(new String(new URL(url).openStream().readAllBytes()));
    else if (a[0].equals("client")) System.out.println(HttpClient.newHttpClient().send(
      HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body());
    else { Selector s = Selector.open(); SocketChannel c = SocketChannel.open(); c.configureBlocking(false);
      c.connect(new InetSocketAddress("127.0.0.1", port)); c.register(s, SelectionKey.OP_CONNECT);
      s.select(10000); c.finishConnect(); s.close(); c.configureBlocking(true);
      c.write(ByteBuffer.wrap("GET / HTTP/1.0\\r\\n\\r\\n".getBytes())); ByteBuffer b = ByteBuffer.allocate(9999);
      while (c.read(b) > 0); System.out.println(new String(b.array(), 0, b.position())); }
  } } }''')
node = '''const http = require('http'); let n = 0;
(function next() { if (n++ < 4) http.get({host: '127.0.0.1', port: PORT, agent: false}, (r) => {
  r.on('data', (d) => console.log(String(d))); r.on('end', next); }); })()'''
node_fetch = '''(async () => { for (let i = 0; i < 4; i++) console.log(await (await fetch('http://127.0.0.1:PORT/' + i)).text()) })()'''
php = '''for ($i = 0; $i < 4; $i++) { echo file_get_contents("http://127.0.0.1:PORT/"), "\\n"; }'''
php_socket = '''for ($i = 0; $i < 4; $i++) { $f = fsockopen("127.0.0.1", PORT, $e, $s, 5); fwrite($f, "GET / HTTP/1.0\\r\\n\\r\\n"); echo stream_get_contents($f), "\\n"; }'''
perl_ip = '''use IO::Socket::IP; for (1..4) { my $s = IO::Socket::IP->new(PeerHost => "127.0.0.1", PeerPort => PORT, Timeout => 9)
  or die $@; print $s "GET / HTTP/1.0\\r\\n\\r\\n"; print <$s>; }'''
perl_inet = perl_ip.replace('IO::Socket::IP', 'IO::Socket::INET').replace('PeerHost', 'PeerAddr')
ruby_http = '''require "net/http"; 4.times { puts Net::HTTP.get("127.0.0.1", "/", PORT) }'''
ruby_tcp = '''require "socket"; 4.times { s = TCPSocket.new("127.0.0.1", PORT); s.write "GET / HTTP/1.0\\r\\n\\r\\n"; puts s.read }'''
aio = '''import asyncio
async def go():
    for _ in range(4):
        r, w = await asyncio.open_connection('127.0.0.1', PORT); w.write(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(await r.read())
asyncio.run(go())'''
urllib = '''import urllib.request
for _ in range(4): print(urllib.request.urlopen('http://127.0.0.1:PORT/', timeout=9).read())'''
url = 'http://127.0.0.1:PORT/'
get = r"printf 'GET / HTTP/1.0\r\n\r\n' | "
programs = [
    ('curl', http, ['curl', '-s', url], 4),
    ('curl --tcp-fastopen', http, ['curl', '-s', '--tcp-fastopen', url], 4),
    ('wget', http, ['wget', '-qO-', url], 4),
    ('git', git, ['env', 'GIT_CURL_VERBOSE=1', 'git', 'ls-remote', url], 4),
    ('python urllib', http, [sys.executable, '-c', urllib], 1),
    ('python asyncio', http, [sys.executable, '-c', aio], 1),
    ('node http', http, ['node', '-e', node], 1),
    ('node fetch', http, ['node', '-e', node_fetch], 1),
    ('java URL', http, ['java', java_source, 'url', 'PORT'], 1),
    ('java HttpClient', http, ['java', java_source, 'client', 'PORT'], 1),
    ('java NIO', http, ['java', java_source, 'nio', 'PORT'], 1),
    ('java URL, IPv4 stack', http, ['java', '-Djava.net.preferIPv4Stack=true', java_source, 'url', 'PORT'], 1),
    ('mariadb', mariadb, ['mariadb', '--no-defaults', '-h', '127.0.0.1', '-P', 'PORT', '--skip-ssl'], 4),
    ('psql', postgres, ['psql', '-h', '127.0.0.1', '-p', 'PORT', '-U', 'u', 'd'], 4),
    ('redis-cli', redis, ['redis-cli', '-h', '127.0.0.1', '-p', 'PORT', 'PING'], 4),
    ('php streams', http, ['php', '-r', php], 1),
    ('php fsockopen', http, ['php', '-r', php_socket], 1),
    ('perl IO::Socket::INET', http, ['perl', '-e', perl_inet.replace(', Timeout => 9', '')], 1),
    ('perl with Timeout', http, ['perl', '-e', perl_inet], 1),
    ('perl IO::Socket::IP', http, ['perl', '-e', perl_ip], 1),
    ('ruby TCPSocket', http, ['ruby', '-e', ruby_tcp], 1),
    ('ruby Net::HTTP', http, ['ruby', '-e', ruby_http], 1),
    ('ssh', ssh, ['ssh', '-v', '-o', 'BatchMode=yes', '-p', 'PORT', '127.0.0.1'], 4),
    ('ssh ConnectTimeout', ssh, ['ssh', '-v', '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=9', '-p', 'PORT', '127.0.0.1'], 4),
    ('bash /dev/tcp', ssh, ['bash', '-c', 'head -1 </dev/tcp/127.0.0.1/PORT'], 4),
    ('socat', http, ['bash', '-c', get + 'socat - TCP:127.0.0.1:PORT'], 4),
    ('nc', http, ['bash', '-c', get + 'nc 127.0.0.1 PORT'], 4),
]

for name, speak, command, times in programs:
    if not shutil.which(command[0]):
        print(f'{name:24} not installed')
        continue
    held = [refusing(), server(speak, b'a'), refusing(), server(speak, b'b')]
    bind = refusing()
    command = [word.replace('PORT', str(port_of(bind))) for word in command]
    targets = ','.join(f'127.0.0.1:{port_of(one)}' for one in held)
    environment = dict(os.environ, LD_PRELOAD=library, PEN_BIND=str(port_of(bind)), PEN_TARGETS=targets)
    said = ''
    for _ in range(times):
        try:
            output = subprocess.run(command, env=environment, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
            said += (output.stdout + output.stderr).decode(errors='replace')
        except subprocess.TimeoutExpired:
            said += 'TIMEOUT'
    # A program may repeat its greeting; git connects more than once.
    reached = re.findall(r'reached-([ab])(?! *pat)', said)
    print(f'{name:24} {" ".join(reached) or said[-300:]!r}', flush=True)
shutil.rmtree(work)
