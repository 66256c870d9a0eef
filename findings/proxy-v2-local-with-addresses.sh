#!/usr/bin/env bash
# PROXY protocol, version 2: dnsdist refuses a LOCAL header that has anything behind its first 16 bytes.
#
# The specification asks a receiver of LOCAL to use the connection's own addresses and to skip what the header's length
# announces. Seen with Debian 12's dnsdist 1.7.3, one question over TCP behind each header:
#   PROXY with addresses (12 bytes)    answered
#   LOCAL without (length 0)           answered
#   LOCAL with addresses (12 bytes)    closed without an answer
# So whoever speaks for itself, as a health check does, must send LOCAL with length 0.
#
# Downloads the package and what it links to into a temporary folder; runs nothing but it and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT

packages=(dnsdist=1.7.3-2 libcap2 libcdb1 libedit2 libbsd0 libmd0 libfstrm0 libh2o-evloop0.13 liblmdb0 libluajit-5.1-2
    libnghttp2-14 libre2-9 libsnmp40 libwslay1 libsodium23 libssl3 libsystemd0 libgcrypt20 libgpg-error0)
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" &&
    for file in *.deb; do dpkg-deb -x "$file" tree; done) || exit 2
export LD_LIBRARY_PATH="$folder/tree/usr/lib/x86_64-linux-gnu:$folder/tree/lib/x86_64-linux-gnu"

cat >"$folder/dnsdist.conf" <<'CONF'
setLocal("127.0.0.1:19053")
setProxyProtocolACL({"127.0.0.1/32"})
addAction(AllRule(), SpoofAction("192.0.2.1"))
CONF
"$folder/tree/usr/bin/dnsdist" --supervised --disable-syslog -C "$folder/dnsdist.conf" >/dev/null 2>&1 &
pid=$!

python3 - <<'PYTHON'
import socket, struct, sys, time

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = socket.inet_aton("127.0.0.1") * 2 + struct.pack(">HH", 4000, 53)
HEADERS = {
    "PROXY with addresses": SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 12) + ADDRESSES,
    "LOCAL without": SIGNATURE + struct.pack(">BBH", 0x20, 0x00, 0),
    "LOCAL with addresses": SIGNATURE + struct.pack(">BBH", 0x20, 0x11, 12) + ADDRESSES,
}
EXPECTED = {
    "PROXY with addresses": "answered", "LOCAL without": "answered",
    "LOCAL with addresses": "closed without an answer",
}
QUESTION = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + b"\x07example\x03org\x00" + struct.pack(">HH", 1, 1)

def outcome(header):
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", 19053), timeout=10) as client:
                client.sendall(header + struct.pack(">H", len(QUESTION)) + QUESTION)
                return "answered" if client.recv(2) else "closed without an answer"
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(2)
            time.sleep(0.1)
        except ConnectionResetError:
            return "closed without an answer"

seen = {name: outcome(header) for name, header in HEADERS.items()}
for name, what in seen.items():
    print(f"{name:21} {what}")
sys.exit(0 if seen == EXPECTED else 1)
PYTHON
