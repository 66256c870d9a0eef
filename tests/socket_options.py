#!/usr/bin/env python3
"""The options of sockets that belong to another process.

Usage: socket_options.py PID DESCRIPTOR...

Writes a line for each descriptor: TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. The process must be
one that we may trace, such as a child.
"""

import ctypes
import os
import socket
import sys

# The same number on every architecture.
SYS_PIDFD_GETFD = 438

OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
]


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    pid, *descriptors = map(int, sys.argv[1:])
    process = os.pidfd_open(pid)
    for descriptor in descriptors:
        copy = libc.syscall(SYS_PIDFD_GETFD, process, descriptor, 0)
        if copy < 0:
            sys.exit(f"descriptor {descriptor}: {os.strerror(ctypes.get_errno())}")
        with socket.socket(fileno=copy) as there:
            print(*(there.getsockopt(level, option) for level, option in OPTIONS))


main()
