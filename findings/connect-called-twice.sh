#!/usr/bin/env bash
# connect(2): some clients call it twice for one connection, and take the second call's answer for the outcome.
#
# After a non-blocking connect and a wait for writability, most programs ask getsockopt(SO_ERROR). Ruby's Net::HTTP, Perl's
# IO::Socket::INET with a Timeout and redis-cli call connect() with the same address again and expect 0 or EISCONN.
# Seen with Debian 12's packages and strace, one connection each to one port of 127.0.0.1:
#   Ruby 3.1.2, Net::HTTP                             2 calls
#   Perl 5.36.0, IO::Socket::INET with Timeout        2 calls
#   redis-cli 7.0.15                                  2 calls
#   Perl 5.36.0, IO::Socket::INET without             1 call
#   Ruby 3.1.2, Socket.tcp                            1 call
# So whoever redirects connect() (a preloaded library, a tracer) must choose a server for each socket, not for each call: with
# two servers in turn these programs would be connected to the first and asked about the second.
#
# Downloads the packages and what they link to into a temporary folder; runs nothing but them and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT

packages=(ruby3.1=3.1.7+really3.1.2-0+deb12u1 libruby3.1=3.1.7+really3.1.2-0+deb12u1 perl-base=5.36.0-7+deb12u4
    redis-tools=5:7.0.15-1~deb12u10 strace=6.1-0.1 rubygems-integration libgmp10 libedit2 libbsd0 libmd0 libffi8 libncurses6 libtinfo6
    libyaml-0-2 libunwind8 libjemalloc2 liblzf1 libatomic1 libssl3 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblzma5
    libzstd1 liblz4-1 libcrypt1 zlib1g)
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" &&
    for file in *.deb; do dpkg-deb -x "$file" tree; done) || exit 2
library=$folder/tree/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$library:$folder/tree/lib/x86_64-linux-gnu"
export RUBYLIB="$folder/tree/usr/lib/ruby/3.1.0:$library/ruby/3.1.0"
export PERL5LIB="$library/perl-base"

# A server that answers a request of HTTP and one of Redis.
cat >"$folder/server.py" <<'PYTHON'
import socket, threading

def serve(client):
    with client:
        said = client.recv(1000)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if b"GET" in said else b"+PONG\r\n")

with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
PYTHON
mkfifo "$folder/port"
python3 "$folder/server.py" >"$folder/port" &
pid=$!
read -r port <"$folder/port"

right=0
expect() {
    local calls=$1 name=$2
    shift 2
    timeout 20 "$folder/tree/usr/bin/strace" -f -qq -e trace=connect -o "$folder/trace" "$@" >/dev/null 2>"$folder/said" ||
        { cat "$folder/said"; exit 2; }
    local seen
    seen=$(grep -c "connect(.*htons($port)" "$folder/trace" || true)
    echo "$name: $seen"
    [ "$seen" = "$calls" ] || right=1
}
ruby=$folder/tree/usr/bin/ruby3.1 perl=$folder/tree/usr/bin/perl
expect 2 'Ruby, Net::HTTP' "$ruby" --disable-gems -rnet/http -e "Net::HTTP.start('127.0.0.1', $port) { |http| http.get('/') }"
expect 2 'Perl, IO::Socket::INET with Timeout' "$perl" -MIO::Socket::INET \
    -e "IO::Socket::INET->new(PeerAddr => '127.0.0.1:$port', Timeout => 5) or die"
expect 2 'redis-cli' "$folder/tree/usr/bin/redis-cli" -p "$port" PING
expect 1 'Perl, IO::Socket::INET without' "$perl" -MIO::Socket::INET -e "IO::Socket::INET->new(PeerAddr => '127.0.0.1:$port') or die"
expect 1 'Ruby, Socket.tcp' "$ruby" --disable-gems -rsocket -e "Socket.tcp('127.0.0.1', $port).close"
exit $right
