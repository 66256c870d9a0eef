#!/usr/bin/env python3
"""Finds out which functions of pen run at start and for connections, and writes their names to layout.ld.

CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release && benches/layout.py [PEN]

The linker puts these functions side by side (build.rs), so that an ordinary pen has few pages of its program in memory.
A function that the list lacks, or one that is gone, costs some of the effect and nothing else: run this again after a
large change, or when a new compiler calls functions by other names. Wants valgrind and openssl.
"""

import collections
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONNECTIONS = 300
NAME_CHARS_MAX = 90

HEAD = """\
/* Which functions lie side by side in the program pen: first those that connections need, then those that only its
 * start and its end need, then those for TLS. benches/layout.py wrote this file; what it is good for is told in
 * docs/performance.md. A star stands for what another compiler or another version of a crate would call differently. */
SECTIONS
{
  .text.first :
  {
    *crt1.o(.text)
    *(.text*.main)
"""
TAIL = """  }
}
INSERT BEFORE .text;
"""


def serve(listener):
    """Answers one request on each connection, and closes it."""
    while True:
        connection, _ = listener.accept()
        if connection.recv(4096):
            connection.sendall(b"y" * 100)
        connection.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, pen):
    """A connection to pen, which may not listen yet."""
    while pen.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            pass
    sys.exit("layout.py: pen has ended")


def certificate(directory):
    """A file with a key and its certificate."""
    pem = f"{directory}/pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{pem}.key"]
    command = ["openssl", "req", "-x509", *key, "-subj", "/CN=localhost", "-out", pem]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with open(pem, "a") as file:
        file.write(open(f"{pem}.key").read())
    return pem


def without_tls(client):
    return client


def with_tls(client):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(client)


def profile(program, options, dress, output):
    """What callgrind writes about a pen that starts with these options, serves CONNECTIONS, and ends."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    port = free_port()
    addresses = [f"127.0.0.1:{number}" for number in (port, *(server.getsockname()[1] for server in servers))]
    command = ["valgrind", "-q", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={output}"]
    pen = subprocess.Popen([*command, program, "-f", *options, *addresses])
    for _ in range(CONNECTIONS):
        with dress(connect(port, pen)) as client:
            client.sendall(b"x" * 100)
            while client.recv(4096):
                pass
    pen.send_signal(signal.SIGTERM)
    pen.wait()


def calls(path):
    """How often each function of pen and its crates ran, by its name as the linker knows it."""
    names, counts = {}, collections.Counter()
    callee = None
    for line in open(path):
        function = re.match(r"(c?)fn=\((\d+)\)(?: (\S+))?", line)
        if function:
            called, number, name = function.groups()
            name = names.setdefault(number, name)
            counts[name] += 0
            callee = name if called else callee
        elif line.startswith("calls="):
            counts[callee] += int(line[6:].split()[0])
    return {name: count for name, count in counts.items() if re.match(r"_ZN|_R|ring_core", name or "")}


def pattern(name):
    """The name without what differs from build to build: hashes, what follows a dot, the tail of a very long one."""
    name = re.sub(r"'\d+$", "", name)
    name = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", name)
    name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
    name = re.sub(r"^ring_core_\w+?__", "ring_core_*__", name)
    if name.startswith("_R"):
        name = re.sub(r"\.\d+$", "", name) + "*"
    if len(name) > NAME_CHARS_MAX:
        name = name[:NAME_CHARS_MAX].rstrip("*") + "*"
    return re.sub(r"\*+", "*", name)


def section(names):
    patterns = sorted({pattern(name) for name in names})
    return "".join(f"    *(.text*.{name})\n" for name in patterns)


def main():
    program = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else f"{ROOT}/target/release/pen")
    plain, tls = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as directory:
        files = ["-l", f"{directory}/log", "-p", f"{directory}/pid"]
        numbers = ["-t", "5", "-T", "60", "-c", "1000", "--threads", "1"]
        runs = [(plain, options, without_tls) for options in ([], ["-r"], files + numbers)]
        runs.append((tls, ["-E", certificate(directory)], with_tls))
        for counts, options, dress in runs:
            profile(program, options, dress, f"{directory}/profile")
            counts.update(calls(f"{directory}/profile"))
    if not plain:
        sys.exit(f"layout.py: {program} has no names: build it with CARGO_PROFILE_RELEASE_STRIP=debuginfo")
    always = {name for name, count in plain.items() if count >= CONNECTIONS}
    groups = (("connections", always), ("start and end", set(plain) - always), ("TLS", set(tls) - set(plain)))
    with open(f"{ROOT}/layout.ld", "w") as file:
        file.write(HEAD + "".join(f"    /* {title} */\n{section(names)}" for title, names in groups) + TAIL)
    print(", ".join(f"{title}: {len(names)} functions" for title, names in groups))


main()
