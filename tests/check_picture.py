"""Prints WIDTHxHEIGHT of a PNG and how many pixels of its upper part have each of the colours given as RRGGBB."""

import struct
import sys
import zlib

ROWS_MAX = 600

data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n", "not a PNG"
at, packed = 8, b""
while at < len(data):
    length, kind = struct.unpack(">I4s", data[at : at + 8])
    body = data[at + 8 : at + 8 + length]
    if kind == b"IHDR":
        width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", body)
    elif kind == b"IDAT":
        packed += body
    at += length + 12
channels = {2: 3, 6: 4}[colour_type]
assert depth == 8 and not interlaced, "only what Chromium writes"

raw, line_bytes = zlib.decompress(packed), width * channels
counts = dict.fromkeys(sys.argv[2:], 0)
above = bytearray(line_bytes)
for y in range(min(height, ROWS_MAX)):
    start = y * (line_bytes + 1)
    method, line = raw[start], bytearray(raw[start + 1 : start + 1 + line_bytes])
    for x in range(line_bytes) if method else ():
        left = line[x - channels] if x >= channels else 0
        up, corner = above[x], above[x - channels] if x >= channels else 0
        if method == 1:
            guess = left
        elif method == 2:
            guess = up
        elif method == 3:
            guess = (left + up) // 2
        else:
            near = left + up - corner
            guess = min((left, up, corner), key=lambda value: abs(near - value))
        line[x] = (line[x] + guess) & 255
    above = line
    for x in range(0, line_bytes, channels):
        colour = line[x : x + 3].hex()
        if colour in counts:
            counts[colour] += 1
print(f"{width}x{height}", *(counts[colour] for colour in sys.argv[2:]))
