#!/usr/bin/env bash
# PROXY protocol: a header that arrives in two segments is refused by some servers and put together by others.
#
# TCP is a stream, and the specification asks the sender to send the header at once but warns receivers no less: whoever
# writes one in two pieces, or through something that cuts the stream anywhere, cannot know who takes it.
# Seen with Debian 12's packages, a header for a client of IPv4 before a request, cut after its 20th byte:
#                                version 1   version 2
#   Apache 2.4.71 (mod_remoteip) 200         200
#   HAProxy 2.6.12               closed      closed
#   nginx 1.22.1                 closed      closed
# In one piece each of the three answers 200 to both.
#
# Downloads the packages and what they link to into a temporary folder; runs nothing but them and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT

packages=(apache2-bin=2.4.71-1~deb12u1 haproxy=2.6.12-1+deb12u4 nginx=1.22.1-9+deb12u11 libapr1 libaprutil1 libpcre2-8-0
    libssl3 liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 libjansson4
    libexpat1 zlib1g libcrypt1)
chmod 755 "$folder"
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" &&
    for file in *.deb; do dpkg-deb -x "$file" tree; done) || exit 2
export LD_LIBRARY_PATH="$folder/tree/usr/lib/x86_64-linux-gnu:$folder/tree/lib/x86_64-linux-gnu"
modules=$folder/tree/usr/lib/apache2/modules

mkdir "$folder/pages" "$folder/nginx" && echo hello >"$folder/pages/index.html"
cat >"$folder/apache.conf" <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
ErrorLog $folder/apache.log
Listen 127.0.0.1:19061
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
LoadModule remoteip_module $modules/mod_remoteip.so
User nobody
Group nogroup
DocumentRoot $folder/pages
DirectoryIndex index.html
RemoteIPProxyProtocol On
CONF
cat >"$folder/haproxy.cfg" <<CONF
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend in
    bind 127.0.0.1:19062 accept-proxy
    http-request return status 200
CONF
cat >"$folder/nginx.conf" <<CONF
daemon off;
pid $folder/nginx/pid;
error_log $folder/nginx/log;
events {}
http {
    access_log off;
    client_body_temp_path $folder/nginx/body;
    proxy_temp_path $folder/nginx/proxy;
    fastcgi_temp_path $folder/nginx/fastcgi;
    uwsgi_temp_path $folder/nginx/uwsgi;
    scgi_temp_path $folder/nginx/scgi;
    server { listen 127.0.0.1:19063 proxy_protocol; return 200; }
}
CONF
"$folder/tree/usr/sbin/apache2" -f "$folder/apache.conf" -DFOREGROUND 2>/dev/null &
pids+=($!)
"$folder/tree/usr/sbin/haproxy" -db -q -f "$folder/haproxy.cfg" 2>/dev/null &
pids+=($!)
"$folder/tree/usr/sbin/nginx" -c "$folder/nginx.conf" 2>/dev/null &
pids+=($!)

python3 - <<'PYTHON'
import socket, struct, sys, time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SERVERS = {"Apache": 19061, "HAProxy": 19062, "nginx": 19063}
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4000, 80)
HEADERS = {
    "version 1": b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n",
    "version 2": b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(">BBH", 0x21, 0x11, 12) + ADDRESSES,
}
CUT = 20

def answer(port, header, cut):
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if cut:
                    client.sendall(header[:cut])
                    time.sleep(0.3)
                client.sendall(header[cut:] + REQUEST)
                said = client.recv(64)
                return said.split()[1].decode() if said else "closed"
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(2)
            time.sleep(0.1)
        except (ConnectionResetError, BrokenPipeError):
            return "closed"

right = True
for server, port in SERVERS.items():
    for version, header in HEADERS.items():
        whole, cut = answer(port, header, 0), answer(port, header, CUT)
        print(f"{server:8} {version}: in one piece {whole}, in two {cut}")
        right &= (whole, cut) == ("200", "200" if server == "Apache" else "closed")
sys.exit(0 if right else 1)
PYTHON
