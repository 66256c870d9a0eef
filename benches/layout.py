#!/usr/bin/env python3
"""Finds out which functions of pen run at start and for connections, and writes their names to layout.ld.

CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release && benches/layout.py [PEN]

The linker puts these functions side by side (build.rs), so that an ordinary pen has few pages of its program in memory.
A function that the list lacks, or one that is gone, costs some of the effect and nothing else: run this again after a
large change, or when a new compiler calls functions by other names. Wants valgrind.
"""

import collections
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONNECTIONS = 300
NAME_CHARS_MAX = 90

HEAD = """/* Which functions lie side by side in the program pen: first those that connections need, then those that only its
 * start and its end need. benches/layout.py wrote this file; what it is good for is told in docs/performance.md. A star
 * stands for what another compiler or another version of a crate would call differently. */
SECTIONS
{
  .text.first :
  {
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


def profile(program, options, output):
    """What callgrind writes about a pen that starts with these options, serves CONNECTIONS, and ends."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    port = free_port()
    addresses = [f"127.0.0.1:{number}" for number in (port, *(server.getsockname()[1] for server in servers))]
    command = ["valgrind", "-q", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={output}"]
    pen = subprocess.Popen([*command, program, "-f", *options, *addresses])
    for _ in range(CONNECTIONS):
        with connect(port, pen) as client:
            client.sendall(b"x" * 100)
            while client.recv(4096):
                pass
    pen.send_signal(signal.SIGTERM)
    pen.wait()


def calls(path):
    """How often each function of Rust ran, by its name as the linker knows it."""
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
    return {name: count for name, count in counts.items() if re.match(r"_ZN|_R", name or "")}


def pattern(name):
    """The name without what differs from build to build: hashes, what follows a dot, the tail of a very long one."""
    name = re.sub(r"'\d+$", "", name)
    name = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", name)
    name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
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
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as directory:
        log = ["-l", f"{directory}/log", "-p", f"{directory}/pid", "-t", "5", "-T", "60", "-c", "1000", "--threads", "1"]
        for options in ([], ["-r"], log):
            profile(program, options, f"{directory}/profile")
            counts.update(calls(f"{directory}/profile"))
    if not counts:
        sys.exit(f"layout.py: {program} has no names: want one that was built with CARGO_PROFILE_RELEASE_STRIP=debuginfo")
    always = [name for name, count in counts.items() if count >= CONNECTIONS]
    with open(f"{ROOT}/layout.ld", "w") as file:
        file.write(HEAD + section(always) + "    /* start and end */\n" + section(set(counts) - set(always)) + TAIL)
    print(f"{len(always)} functions for connections, {len(counts) - len(always)} for start and end")


main()
