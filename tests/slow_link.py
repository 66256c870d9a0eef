#!/usr/bin/env python3
"""A link with a delay between two network namespaces, for kernels without netem.

Usage: slow_link.py DELAY_MS NAMESPACE

Makes the TUN devices slow0, here, and slow1, in NAMESPACE; writes a line when both are there, and then carries every
packet from one to the other DELAY_MS later, until it is killed. Needs root.
"""

import fcntl
import heapq
import itertools
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
PACKET_BYTES_MAX = 65536


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return device


def carry(here, there, delay_seconds):
    under_way = []
    order = itertools.count()
    other = {here: there, there: here}
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for device in select.select([here, there], [], [], wait)[0]:
            packet = os.read(device, PACKET_BYTES_MAX)
            heapq.heappush(under_way, (time.monotonic() + delay_seconds, next(order), other[device], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(under_way)
            try:
                os.write(device, packet)
            except OSError:
                pass  # The device is not up: lost, as on any link.


def main():
    delay_ms, namespace = sys.argv[1:]
    here, there = tun("slow0"), tun("slow1")
    subprocess.run(["ip", "link", "set", "slow1", "netns", namespace], check=True)
    print("ready", flush=True)
    carry(here, there, int(delay_ms) / 1000)


main()
