#!/usr/bin/env bash
# PROXY protocol, version 2: how long a header may be depends on the server, and in nginx on the module.
#
# A header of version 2 may announce up to 65,535 bytes behind its first 16, and the specification names no shorter limit
# for receivers. A client certificate's name, an authority, or a vendor's extensions make it grow beyond its 28 bytes easily.
# Seen with Debian 12's nginx 1.22.1 and Apache 2.4.71, a header for a client of IPv4, filled up with one PP2_TYPE_NOOP:
#   nginx, stream module           107 bytes taken, 108 refused
#   Apache (mod_remoteip)          232 bytes taken, 233 refused
#   nginx, http module             1,024 bytes taken, 1,025 refused
# So what passes before nginx's http fails before its stream, and nothing of it is negotiated.
#
# Downloads the packages and what they link to into a temporary folder; runs nothing but them and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT

packages=(apache2-bin=2.4.71-1~deb12u1 nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11 libapr1 libaprutil1
    libpcre2-8-0 libssl3 libjansson4 libexpat1 zlib1g libcrypt1)
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
Listen 127.0.0.1:19071
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
cat >"$folder/nginx.conf" <<CONF
load_module $folder/tree/usr/lib/nginx/modules/ngx_stream_module.so;
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
    server { listen 127.0.0.1:19072 proxy_protocol; return 200; }
    server { listen 127.0.0.1:19074; return 200; }
}
stream {
    server { listen 127.0.0.1:19073 proxy_protocol; proxy_pass 127.0.0.1:19074; }
}
CONF
"$folder/tree/usr/sbin/apache2" -f "$folder/apache.conf" -DFOREGROUND 2>/dev/null &
pids+=($!)
"$folder/tree/usr/sbin/nginx" -c "$folder/nginx.conf" 2>/dev/null &
pids+=($!)

python3 - <<'PYTHON'
import socket, struct, sys, time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SERVERS = {"nginx stream": (19073, 107), "Apache": (19071, 232), "nginx http": (19072, 1024)}
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4000, 80)

def header(size):
    filling = size - 16 - len(ADDRESSES) - 3
    noop = struct.pack(">BH", 0x04, filling) + bytes(filling)
    rest = ADDRESSES + noop
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(">BBH", 0x21, 0x11, len(rest)) + rest

def answer(port, size):
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(header(size) + REQUEST)
                said = client.recv(64)
                return said.split()[1].decode() if said else "refused"
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(2)
            time.sleep(0.1)
        except (ConnectionResetError, BrokenPipeError):
            return "refused"

right = True
for server, (port, longest) in SERVERS.items():
    fits, too_long = answer(port, longest), answer(port, longest + 1)
    print(f"{server:12} {longest} bytes: {fits}, {longest + 1} bytes: {too_long}")
    right &= (fits, too_long) == ("200", "refused")
sys.exit(0 if right else 1)
PYTHON
