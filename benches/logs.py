#!/usr/bin/env python3
"""Measures the programs for logs, from the top of a checkout after `cargo build --release`.

benches/logs.py mergelogs [LINES]  a million lines through Debian's mergelogs (package pen) and ours, output compared
benches/logs.py penlogd [SECONDS]  as many lines as can be sent through ours on loopback, and what its buffer holds

Processor time is what counts: on a busy machine nothing else can be compared.
"""

import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

OURS = os.path.abspath("target/release")
START = 1_010_532_530
SERVERS = ("10.0.0.1", "10.0.0.2")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0 Safari/537.36"

# The original leaves the daylight saving flag of its times to chance; without it, its output can be compared.
MKTIME = "#include <time.h>\ntime_t mktime(struct tm *tm) { tm->tm_isdst = 0; return timegm(tm); }\n"


def write_logs(directory, lines, lines_per_second):
    """pen.log and a combined log for each server: 20,000 paths, few of them often, clocks up to a second apart."""
    random.seed(7)
    kinds = ("news", "img", "shop", "api", "static")
    name = lambda: "".join(random.choices("abcdefghij", k=12))
    requests = [f"GET /{random.choice(kinds)}/{name()}-{number}.html HTTP/1.1" for number in range(20_000)]
    pen = open(f"{directory}/pen.log", "w")
    web = [open(f"{directory}/{server}.log", "w") for server in SERVERS]
    for line in range(lines):
        second = START + int(line / lines_per_second)
        server = random.getrandbits(1)
        request = requests[min(int(random.paretovariate(0.6)) - 1, len(requests) - 1)]
        client = ".".join(str(random.randint(1, 254)) for _ in range(4))
        pen.write(f"{client} {second} {SERVERS[server]} {request}\n")
        served = time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(second + random.choice((0, 0, 0, 1))))
        browser = BROWSER % random.randint(90, 120)
        size = random.randint(100, 99_999)
        web[server].write(f'10.0.0.80 - - [{served} +0000] "{request}" 200 {size} "-" "{browser}"\n')
    for file in (pen, *web):
        file.close()


def processor_seconds(command, output, **more):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(output, "wb") as file:
        subprocess.run(command, stdout=file, check=True, **more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def mergelogs(lines):
    print("lines/s in the logs | jitter | original | ours | times faster | lines/s of ours | same output")
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/mktime.c", "w") as file:
            file.write(MKTIME)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "mktime.so", "mktime.c"], cwd=directory, check=True)
        logs = [f"{server}:{directory}/{server}.log" for server in SERVERS]
        for lines_per_second, jitter in ((20, 5), (1000, 5), (20, 600)):
            write_logs(directory, lines, lines_per_second)
            words = ["-j", str(jitter), "-p", f"{directory}/pen.log", *logs]
            ours = min(processor_seconds([f"{OURS}/mergelogs", *words], f"{directory}/ours") for _ in range(3))
            environment = {**os.environ, "TZ": "UTC", "LD_PRELOAD": f"{directory}/mktime.so"}
            original = ["/usr/bin/mergelogs", *words]
            theirs = processor_seconds(original, f"{directory}/theirs", env=environment)
            same = subprocess.run(["cmp", "-s", f"{directory}/ours", f"{directory}/theirs"]).returncode == 0
            print(
                f"{lines_per_second} | {jitter} s | {theirs:.2f} s | {ours:.2f} s | {theirs / ours:.0f} | "
                f"{lines / ours:,.0f} | {'yes' if same else 'NO'}"
            )


class Penlogd:
    """One of ours on a free port, and a socket that sends to it."""

    def __init__(self, directory):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.said = f"{directory}/said"
        words = ["-f", "-4", "-n", "100000", "-l", f"{directory}/log", "-p", f"{directory}/pid", str(port)]
        self.process = subprocess.Popen([f"{OURS}/penlogd", *words], stderr=open(self.said, "wb"))
        while not os.path.exists(f"{directory}/pid"):
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))

    def send_for(self, seconds):
        """Lines of pen and of a web server by turns; how many."""
        request = "GET /shop/item-%d.html HTTP/1.1"
        web = '127.0.0.1 - - [09/Jan/2026:00:28:50 +0100] "%s" 200 5120 "-" "%s"\n' % (request, BROWSER % 120)
        pairs = [
            (b"+ 10.0.%d.%d 127.0.0.1 " % (n >> 8, n & 255) + (request % n).encode(), (web % n).encode())
            for n in range(500)
        ]
        send, sent, end = self.socket.send, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for pen_line, web_line in pairs:
                send(pen_line)
                send(web_line)
            sent += 2 * len(pairs)
        return sent

    def figures(self):
        """Datagrams received and lost, once all that arrived is dealt with, and the processor time for it."""
        time.sleep(1)
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        said = open(self.said).read()
        number = lambda words: int(re.search(rf"(\d+) {words}", said).group(1))
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.process.terminate()
        self.process.wait()
        return number("lines from pen") + number("from web servers"), number("lost on receipt"), seconds


def penlogd(seconds):
    with tempfile.TemporaryDirectory() as directory:
        busy = Penlogd(directory)
        sent = busy.send_for(seconds)
        received, lost, spent = busy.figures()
        rate, cost = sent / seconds, spent / received * 1e6
        print(f"{rate:,.0f} datagrams/s for {seconds} s: {lost} of {sent} lost, {cost:.1f} us of processor time each")
    with tempfile.TemporaryDirectory() as directory:
        stalled = Penlogd(directory)
        stalled.process.send_signal(signal.SIGSTOP)
        sent = stalled.send_for(3)
        stalled.process.send_signal(signal.SIGCONT)
        received, lost, _ = stalled.figures()
        print(f"stopped while {sent} came: {received} were waiting for it, {lost} were lost")


if __name__ == "__main__":
    what = {"mergelogs": mergelogs, "penlogd": penlogd}.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if what is None:
        sys.exit(__doc__)
    default = {"mergelogs": 1_000_000, "penlogd": 5}[sys.argv[1]]
    what(int(sys.argv[2]) if len(sys.argv) > 2 else default)
