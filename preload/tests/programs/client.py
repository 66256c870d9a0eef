"""Connects in the way that is named, so often, and prints what each server said: client.py WAY PORT TIMES"""
import asyncio, errno, os, select, socket, sys

way, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
where = ('127.0.0.1', port)


def said(s):
    s.settimeout(10)
    return s.recv(100).decode()


def begin():
    s = socket.socket()
    s.setblocking(False)
    answer = s.connect_ex(where)
    assert answer in (0, errno.EINPROGRESS), answer
    return s


def error(s):
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def accepted(s):
    assert error(s) == 0
    assert s.getpeername()[1] != port, 'getpeername tells the truth'
    return said(s)


def with_epoll(flags, registers_before=False):
    with select.epoll() as waiting:
        s = socket.socket()
        s.setblocking(False)
        if registers_before:
            waiting.register(s, flags)
            waiting.poll(0)
        assert s.connect_ex(where) in (0, errno.EINPROGRESS)
        if not registers_before:
            waiting.register(s, flags)
        assert waiting.poll(10) == [(s.fileno(), select.EPOLLOUT)]
        return accepted(s)


def blocking():
    return said(socket.create_connection(where))


def with_timeout():
    return said(socket.create_connection(where, timeout=10))


def mapped():
    s = socket.socket(socket.AF_INET6)
    s.connect(('::ffff:127.0.0.1', port))
    return said(s)


def poll():
    s = begin()
    waiting = select.poll()
    waiting.register(s, select.POLLOUT)
    assert waiting.poll(10000) == [(s.fileno(), select.POLLOUT)]
    return accepted(s)


def selected():
    s = begin()
    assert select.select([], [s], [s], 10) == ([], [s], [])
    return accepted(s)


def epoll():
    return with_epoll(select.EPOLLOUT)


def epoll_edge():
    return with_epoll(select.EPOLLOUT | select.EPOLLET)


def epoll_once():
    return with_epoll(select.EPOLLOUT | select.EPOLLONESHOT)


def epoll_before():
    return with_epoll(select.EPOLLOUT, registers_before=True)


def connect_again():
    s = begin()
    while (answer := s.connect_ex(where)) not in (0, errno.EISCONN):
        assert answer in (errno.EALREADY, errno.EINPROGRESS), answer
    assert s.connect_ex(where) == errno.EISCONN
    return accepted(s)


def connect_twice():
    s = socket.socket()
    s.connect(where)
    assert s.connect_ex(where) == errno.EISCONN
    return said(s)


def duplicate():
    s = begin()
    copy = s.dup()
    s.close()
    assert select.select([], [copy], [], 10)[1] == [copy]
    return accepted(copy)


def fast_open():
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN_CONNECT if hasattr(socket, 'TCP_FASTOPEN_CONNECT') else 30, 1)
    s.connect(where)
    return said(s)


def event_loop():
    async def talk():
        reader, writer = await asyncio.open_connection(*where)
        assert writer.get_extra_info('peername')[1] != port
        return (await reader.read(100)).decode()

    return asyncio.run(talk())


def fork():
    child = os.fork()
    if child == 0:
        print(blocking(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return None


def bind_first():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.1', 0))
    s.setblocking(False)
    own = s.getsockname()[1]
    s.connect_ex(where)
    assert select.select([], [s], [], 10)[1] == [s]
    assert s.getsockname()[0] == '127.0.0.1' and own
    return accepted(s)


def refused():
    try:
        return blocking()
    except OSError as refusal:
        return errno.errorcode[refusal.errno]


def refused_later():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(where)
    waiting = select.poll()
    waiting.register(s, select.POLLOUT)
    ((_, events),) = waiting.poll(10000)
    assert events & select.POLLERR and events & select.POLLHUP, events
    first = error(s)
    assert error(s) == 0, 'an error is told once'
    return errno.errorcode[first]


def refused_to_writer():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(where)
    select.select([], [s], [], 10)
    try:
        s.send(b'x')
    except OSError as refusal:
        return errno.errorcode[refusal.errno]


def threads():
    before = len(os.listdir('/proc/self/task'))
    blocking()
    return f'{before} {len(os.listdir("/proc/self/task"))}'


def datagrams():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(where)
    return str(s.getpeername()[1] == port)


def elsewhere():
    """The listener of another address on the same port, and a Unix socket."""
    listener = socket.socket()
    listener.bind(('127.0.0.2', port))
    listener.listen()
    s = socket.create_connection(('127.0.0.2', port))
    assert s.getpeername() == ('127.0.0.2', port)
    name = f'\0{os.getpid()}'
    local = socket.socket(socket.AF_UNIX)
    local.bind(name)
    local.listen()
    other = socket.socket(socket.AF_UNIX)
    other.connect(name)
    return str(other.getpeername() == name.encode())


def on_demand():
    """Closes what it did not open, as a daemon does, then connects for each line that it reads."""
    os.closerange(3, 1024)
    print('ready', flush=True)
    for _ in sys.stdin:
        print(refused(), flush=True)


for _ in range(times):
    answer = globals()[way]()
    if answer is not None:
        print(answer, flush=True)
