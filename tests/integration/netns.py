# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace of the test run, and veth pairs in it: sluiced's uplinks lead there.

Every uplink is one end of a veth pair (net_af_packet); the other end is a Host, which sends and
receives raw frames, or a plain interface with an address for real TCP.
"""

import contextlib
import ctypes
import os
import re
import select
import socket
import struct
import subprocess
import time
from pathlib import Path

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_CSUMNOTREADY = 0x08

PACKET_STATISTICS = 6
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438

_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: {done.stderr.strip()}")
    return done.stdout


def _packet_sockets(pid):
    """Those of a process, for as long as each is looked at."""
    pidfd = _libc.syscall(SYS_PIDFD_OPEN, pid, 0)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            fd = _libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
            if fd < 0:
                continue
            try:
                sock = socket.socket(fileno=fd)
            except OSError:  # no socket
                os.close(fd)
                continue
            with sock:
                if sock.family == socket.AF_PACKET:
                    yield sock
    finally:
        os.close(pidfd)


def packet_drops(pid):
    """Frames that the packet sockets of a process lost as nobody took the ones before, since they were
    asked the last time (PACKET_STATISTICS)."""
    return sum(struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
               for sock in _packet_sockets(pid))


def unsent_bytes(pid):
    """Has the kernel send what lies in the transmit rings of a process's packet sockets, which it does when it
    is asked to, and when it then has room; returns how much that was."""
    sent = 0
    for sock in _packet_sockets(pid):
        with contextlib.suppress(OSError):
            sent += sock.send(b"", socket.MSG_DONTWAIT)
    return sent


def backlog_drops():
    """Frames that found no room in the queue of any CPU behind a veth (net.core.netdev_max_backlog), ever."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        return sum(int(line.split()[1], 16) for line in file)


class Netns:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        with self.entered():
            with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as f:
                f.write("1")
        self.ip("link", "set", "lo", "up")

    def close(self):
        run("ip", "netns", "del", self.name)

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    @contextlib.contextmanager
    def entered(self):
        """Sockets that are made in this block belong to the namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(
            f"/run/netns/{self.name}", "rb"
        ) as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                _libc.setns(home.fileno(), CLONE_NEWNET)

    def veth(self, switch_end, host_end, address=None):
        """A pair of interfaces; switch_end is for sluiced. `address`: "10.0.0.1/24" on host_end."""
        self.veth_to(self, switch_end, host_end)
        if address is not None:
            self.ip("addr", "add", address, "dev", host_end)

    def veth_to(self, other, dev, other_dev):
        """A pair of interfaces, `other_dev` in another namespace."""
        self.ip("link", "add", dev, "type", "veth", "peer", "name", other_dev, "netns", other.name)
        for namespace, end in ((self, dev), (other, other_dev)):
            namespace.ip("link", "set", end, "up")
            # a checksum left to the device would reach the guests unfinished
            run("nsenter", f"--net=/run/netns/{namespace.name}", "ethtool", "-K", end, "tx", "off")


class Host:
    """The far end of an uplink: raw frames, tags in their place."""

    def __init__(self, netns, dev):
        with netns.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self.socket.bind((dev, ETH_P_ALL))

    def close(self):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)

    def recv(self, deadline_s):
        """The next frame, or None."""
        ready, _, _ = select.select([self.socket], [], [], max(deadline_s, 0))
        if not ready:
            return None
        frame, ancillary, _, _ = self.socket.recvmsg(1 << 16, 256)
        for level, kind, data in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data)
                if status & TP_STATUS_VLAN_VALID:  # the kernel took the tag out
                    frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        return frame

    def recv_until(self, is_last, deadline_s=5):
        """All frames up to and with the one for which is_last(frame) holds."""
        return collect(self.recv, is_last, deadline_s)


def collect(recv, is_last, deadline_s):
    """Frames from recv(deadline_s) up to and with the one that is_last() says ends them."""
    end = time.monotonic() + deadline_s
    frames = []
    while True:
        frame = recv(end - time.monotonic())
        if frame is None:
            raise AssertionError(f"the last frame did not come within {deadline_s} s; got {frames}")
        frames.append(frame)
        if is_last(frame):
            return frames


def unique_name(part=""):
    """Short enough for an interface or a namespace; two runs side by side differ."""
    return f"sl{os.getpid()}{part}"


def remove_orphans():
    """Removes the namespaces of runs that were killed."""
    for path in Path("/run/netns").glob("sl[0-9]*"):
        run_of = re.match(r"sl(\d+)", path.name)
        if not Path("/proc", run_of[1]).exists():
            run("ip", "netns", "del", path.name)
