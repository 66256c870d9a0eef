"""A program whose servers are watched: what it reaches, and what it notices. The first argument is the way, the second the
port that it connects to."""
import errno
import os
import signal
import socket
import subprocess
import sys

WAY, PORT = sys.argv[1], int(sys.argv[2])


def reach():
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=None) as connection:
            said = b"".join(iter(lambda: connection.recv(1000), b""))
            return said.decode()[-1:] or "nothing"
    except OSError as error:
        return errno.errorcode[error.errno]


def on_demand():
    """Connects for each line, and stops with them."""
    for line in sys.stdin:
        print(reach(), flush=True)


def small_descriptors():
    return [fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")]


def inherited():
    """How many descriptors a program of the program has."""
    script = "ls /proc/self/fd | wc -l"
    return subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, close_fds=False, text=True).stdout


def notices():
    """Nothing of what watches is the program's: no child, no signal, no descriptor, here or in what it starts."""
    signals = []
    signal.signal(signal.SIGCHLD, lambda *_: signals.append("SIGCHLD"))
    before = small_descriptors(), inherited()
    print(reach(), before == (small_descriptors(), inherited()))
    try:
        print("a child", os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("no child")
    signals.clear()
    os.closerange(3, 4096)
    sys.stdin.readline()
    print(reach(), signals, len(os.listdir("/proc/self/task")), flush=True)
    sys.stdin.readline()
    child = os.fork()
    if child == 0:
        print("child", reach(), len(os.listdir("/proc/self/task")), flush=True)
        sys.exit(0)
    os.waitpid(child, 0)


def ends():
    """Ends in the way that it reads."""
    print(reach(), flush=True)
    how = sys.stdin.readline().strip()
    if how == "_exit":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exec":
        os.execv("/bin/cat", ["cat"])


{"on_demand": on_demand, "notices": notices, "ends": ends}[WAY]()
