# SPDX-License-Identifier: BSD-3-Clause
"""What runs inside a guest of numaguest.py: numaagent.py PORT

Carries out the functions below, as lines of JSON on the virtio port ask for them, with this
directory's own modules: sluiced and fake guests of its own are processes of the guest machine.
"""

import ctypes
import itertools
import json
import mmap
import os
import re
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import sluice
import testpmd
from frames import frame
from frontend import end_frontend, start_frontend
from rpc import Connection, Refused
from vhostguest import QUEUE_BYTES, VhostGuest
from vhostuser import connect as connect_socket
from wait import wait_until

MPOL_DEFAULT, MPOL_BIND = 0, 2
MPOL_MF_MOVE_ALL = 4
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
FRAME_DEADLINE_S = 10
DEADLINE_S = 30  # each CPU of the guest is a thread on a busy machine
PAGE_BYTES = mmap.PAGESIZE
EPOLL_WAIT, FOR_EVER = "232", "0xffffffff"  # of x86-64

TRAFFIC = "sluice-frontend"

numa = ctypes.CDLL("libnuma.so.1", use_errno=True)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
sluice.START_DEADLINE_S = testpmd.START_DEADLINE_S = DEADLINE_S
directories = itertools.count()
numbers = itertools.count(1)
guests = {}
subscriptions = {}
daemon = None


def checked(status):
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def memory_of(node):
    """Memory that this thread and its new processes touch first comes from one node."""
    mask = ctypes.c_ulong(1 << node)
    checked(numa.set_mempolicy(MPOL_BIND, ctypes.byref(mask), 64))
    try:
        yield
    finally:
        checked(numa.set_mempolicy(MPOL_DEFAULT, None, 0))


def new_directory():
    path = Path(f"/run/{next(directories)}")
    path.mkdir()
    return path


# ---- what the host asks for


def read(path):
    return Path(path).read_text(encoding="utf-8")


def write(path, text):
    Path(path).write_text(text, encoding="utf-8")


def listing(path):
    return sorted(os.listdir(path))


def make_directory(path):
    Path(path).mkdir(exist_ok=True)


def remove_directory(path):
    os.rmdir(path)


def start(*args, **options):
    """Starts sluiced. Returns its pid."""
    global daemon
    daemon = sluice.Sluiced(new_directory(), *args, **options)
    return daemon.process.pid


def refuse_to_start(*args, **options):
    """What sluiced says when it does not start."""
    global daemon
    try:
        start(*args, **options)
    except AssertionError as failure:
        return str(failure)
    stop()
    raise AssertionError("sluiced started")


def stop():
    """Returns the exit status, and what sluiced has said."""
    global daemon
    ended, daemon = daemon, None
    hang_up_all()
    return [ended.stop(), ended.process.output()]


def kill():
    """For a sluiced that does not answer. Returns what it has said."""
    global daemon
    hang_up_all()
    ended, daemon = daemon, None
    ended.kill()
    return ended.process.output()


def rpc(method, **params):
    # A connection of its own for each: the deadline is that of a slow machine.
    with Connection(daemon.control, DEADLINE_S) as connection:
        return connection.call(method, **params)


def ctl(*args):
    return daemon.ctl(*args).stdout


def subscribe(name, *types):
    subscriptions[name] = Connection(daemon.control, DEADLINE_S)
    subscriptions[name].call("events.subscribe", types=types)


def next_event(name, **facts):
    """The next event with these facts."""
    return subscriptions[name].next_event(lambda event: event.items() >= facts.items())


class BoundGuest(VhostGuest):
    """A fake guest whose pair i has its rings and buffers on nodes[i]."""

    def __init__(self, path, nodes):
        self.nodes = nodes
        self.mac = f"02:00:00:00:00:{next(numbers):02x}"
        super().__init__(connect_socket(path, DEADLINE_S), queues=len(nodes))

    def _start(self, size):
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.bind(self.nodes)
        for at in range(0, size, PAGE_BYTES):
            self.memory[at] = 0
        super()._start(size)

    def bind(self, nodes, flags=0):
        for i, node in enumerate(nodes):
            mask = ctypes.c_ulong(1 << node)
            checked(numa.mbind(ctypes.c_void_p(self.address + 2 * i * QUEUE_BYTES),
                               ctypes.c_ulong(2 * QUEUE_BYTES), MPOL_BIND, ctypes.byref(mask), 64,
                               flags))

    def lies_on(self):
        """The nodes of each pair's pages, as the kernel says."""
        answer = []
        for i in range(len(self.nodes)):
            count = 2 * QUEUE_BYTES // PAGE_BYTES
            begin = self.address + i * 2 * QUEUE_BYTES
            pages = (ctypes.c_void_p * count)(*range(begin, begin + count * PAGE_BYTES, PAGE_BYTES))
            status = (ctypes.c_int * count)()
            checked(numa.move_pages(0, ctypes.c_ulong(count), pages, None, status, 0))
            answer.append(sorted(set(status)))
        return answer


def connect(port, socket, nodes):
    """A guest whose pair i has its memory on nodes[i] connects. Returns where the kernel put it."""
    guests[port] = BoundGuest(socket, nodes)
    return guests[port].lies_on()


def move(port, nodes):
    """The kernel moves the memory of a guest that runs. Returns where it put it."""
    guests[port].bind(nodes, MPOL_MF_MOVE_ALL)
    return guests[port].lies_on()


def move_process(pid, source, target):
    """The kernel moves what memory a process has on one node to another."""
    masks = [ctypes.byref(ctypes.c_ulong(1 << node)) for node in (source, target)]
    checked(numa.migrate_pages(pid, ctypes.c_ulong(64), *masks))


def hang_up(port):
    guests.pop(port).close()


def hang_up_all():
    """All guests, and all who listen to events."""
    for table in guests, subscriptions:
        for entry in table.values():
            entry.close()
        table.clear()


@contextmanager
def stopped(tids):
    """Some threads of sluiced do nothing for a while."""
    seized = []
    try:
        for tid in tids:
            checked(libc.ptrace(PTRACE_SEIZE, tid, None, None))
            seized.append(tid)
            checked(libc.ptrace(PTRACE_INTERRUPT, tid, None, None))
            os.waitpid(tid, WALL)
        yield
    finally:
        for tid in seized:
            libc.ptrace(PTRACE_DETACH, tid, None, None)


def other_lcores(lcore):
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    names = {tid: (tasks / tid / "comm").read_text().strip() for tid in os.listdir(tasks)}
    assert f"sluice/{lcore}" in names.values()
    return [int(tid) for tid, name in names.items()
            if re.fullmatch(r"sluice/\d+", name) and name != f"sluice/{lcore}"]


def transfer(sender, receiver, count=10, queue=0, only_lcore=None):
    """Frames from a queue of one guest to another. Returns how many came, at the first that does
    not. With `only_lcore` the other lcores are stopped meanwhile: no other can have polled them."""
    one, other = guests[sender], guests[receiver]
    with stopped(other_lcores(only_lcore) if only_lcore else []):
        for arrived in range(count):
            sent = frame(other.mac, one.mac, size=60 + arrived)
            one.send(sent, queue=queue)
            end = time.monotonic() + FRAME_DEADLINE_S
            while (got := other.recv(end - time.monotonic())) != sent:  # there may be floods
                if got is None:
                    return arrived
    return count


def start_traffic(sockets, node, *args):
    """sluice-frontend with its memory on one node, until end_traffic()."""
    with memory_of(node):
        guests[TRAFFIC] = Traffic(sockets, args)


def connect_testpmd(port, socket, cpu, node):
    """A virtio-user port of testpmd that sends. Returns testpmd's pid."""
    guests[port] = testpmd.Testpmd(new_directory(), [socket], mode="txonly", cpu=cpu,
                                   memory="0," * node + "64", args=["--socket-num", node])
    guests[port].start()
    return guests[port].process.pid


class Traffic:
    def __init__(self, sockets, args):
        self.process = start_frontend(new_directory(), *args, *sockets)

    def close(self):
        self.process.kill()


def end_traffic():
    """The report of sluice-frontend."""
    return end_frontend(guests.pop(TRAFFIC).process)


def wait_port(name, state="up"):
    wait_until(lambda: rpc("port.get", name=name)["state"] == state, f"{name} to be {state}",
               DEADLINE_S)


def send(port, data):
    guests[port].send(bytes.fromhex(data))


def recv(port):
    """The next frame to a guest, or None."""
    data = guests[port].recv(FRAME_DEADLINE_S)
    return data and data.hex()


def wait_asleep(lcore):
    """In epoll_wait() without a limit of time."""
    file = f"/proc/{daemon.process.pid}/task/{daemon.thread(f'sluice/{lcore}')}/syscall"
    wait_until(lambda: (words := read(file).split())[0] == EPOLL_WAIT and words[4] == FOR_EVER,
               f"lcore {lcore} to sleep", DEADLINE_S)


def wait_frames(name, count, which="rx_packets"):
    """`count` more frames to the guest of a port."""
    first = rpc("port.get", name=name)["stats"][which]
    wait_until(lambda: rpc("port.get", name=name)["stats"][which] >= first + count,
               f"{count} more {which} of {name}", DEADLINE_S)


# ---- the line to the host


def answer_to(request):
    try:
        function = globals()[request["function"]]
        return {"result": function(*request["args"], **request["params"])}
    except Refused as refused:
        return {"refused": {"code": refused.code, "message": refused.message, "data": refused.data}}
    except Exception:  # whatever it is, the test is to see it
        return {"failed": traceback.format_exc()}


def main(port):
    with open(port, "r+b", buffering=0) as line:
        rest = b""
        while True:
            while b"\n" not in rest:
                rest += line.read(1 << 16)
            request, rest = rest.split(b"\n", 1)
            data = json.dumps(answer_to(json.loads(request))).encode() + b"\n"
            while data:
                data = data[line.write(data):]


if __name__ == "__main__":
    main(sys.argv[1])
