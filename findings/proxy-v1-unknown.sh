#!/usr/bin/env bash
# PROXY protocol, version 1: no form of UNKNOWN is taken by every server.
#
# The specification lets a proxy that has no address for its client send "PROXY UNKNOWN", alone or with anything behind it,
# and asks receivers to ignore what follows and to use the real addresses of the connection.
# Seen with Debian 12's packages, on a request that is answered with 200 behind "PROXY TCP4 ...":
#   Apache 2.4.71 (mod_remoteip)  alone: closed without an answer; with addresses: 200
#   HAProxy 2.6.12 (accept-proxy) alone: 200; with addresses: closed without an answer
# So a proxy does better to name the two ends of its own connection: "PROXY TCP4 OWN SERVER ..." is taken by both.
#
# Downloads the two packages and what they link to into a temporary folder; runs nothing but them and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT

packages=(apache2-bin=2.4.71-1~deb12u1 haproxy=2.6.12-1+deb12u4 libapr1 libaprutil1 libpcre2-8-0 libssl3 liblua5.3-0
    libopentracing-c-wrapper0 libopentracing1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 libjansson4 libexpat1)
chmod 755 "$folder"
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" && for file in *.deb; do dpkg-deb -x "$file" tree; done) || exit 2

export LD_LIBRARY_PATH="$folder/tree/usr/lib/x86_64-linux-gnu:$folder/tree/lib/x86_64-linux-gnu"
modules=$folder/tree/usr/lib/apache2/modules

mkdir "$folder/pages" && echo hello >"$folder/pages/index.html"
cat >"$folder/apache.conf" <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
ErrorLog $folder/apache.log
Listen 127.0.0.1:19081
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
    bind 127.0.0.1:19082 accept-proxy
    http-request return status 200
CONF

"$folder/tree/usr/sbin/apache2" -f "$folder/apache.conf" -DFOREGROUND 2>/dev/null &
pids+=($!)
"$folder/tree/usr/sbin/haproxy" -db -q -f "$folder/haproxy.cfg" 2>/dev/null &
pids+=($!)

python3 - <<'PYTHON'
import socket, sys, time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SERVERS = {"Apache": 19081, "HAProxy": 19082}
HEADERS = {
    "TCP4": b"PROXY TCP4 127.0.0.1 127.0.0.1 4000 80\r\n",
    "UNKNOWN": b"PROXY UNKNOWN\r\n",
    "UNKNOWN with addresses": b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 4000 80\r\n",
}
EXPECTED = {
    ("Apache", "TCP4"): "200", ("HAProxy", "TCP4"): "200",
    ("Apache", "UNKNOWN"): "closed", ("HAProxy", "UNKNOWN"): "200",
    ("Apache", "UNKNOWN with addresses"): "200", ("HAProxy", "UNKNOWN with addresses"): "closed",
}

def answer(port, header):
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(header + REQUEST)
                said = client.recv(64)
                return said.split()[1].decode() if said else "closed"
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(2)
            time.sleep(0.1)
        except ConnectionResetError:
            return "closed"

seen = {(server, name): answer(port, header) for server, port in SERVERS.items() for name, header in HEADERS.items()}
for (server, name), what in seen.items():
    print(f"{server:8} PROXY {name:23} {what}")
sys.exit(0 if seen == EXPECTED else 1)
PYTHON
