# SPDX-License-Identifier: BSD-3-Clause
"""A guest in this process: the front-end's side of vhost-user with split rings.

It sends and receives exactly the frames that a test wants, with the virtio-net header that it
wants, without a polling process beside sluiced. Its memory is one memfd; each vring has a ring
page area and a fixed buffer for each descriptor.
"""

import contextlib
import mmap
import os
import select
import socket
import struct
import time

from netns import collect

# vhost-user requests
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL = 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
VERSION, NEED_REPLY = 1, 8
PROTOCOL_MQ, PROTOCOL_REPLY_ACK = 1 << 0, 1 << 3

# virtio features
CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4 = 1 << 0, 1 << 1, 1 << 7, 1 << 11
MRG_RXBUF, MQ, PROTOCOL_FEATURES, VERSION_1 = 1 << 15, 1 << 22, 1 << 30, 1 << 32
PLAIN = MRG_RXBUF | VERSION_1

RING_SIZE = 256
BUFFER_BYTES = 4096
HEADER_BYTES = 12
VRING_BYTES = 1 << 14  # descriptors, avail, used: 4 KiB each
QUEUE_BYTES = VRING_BYTES + RING_SIZE * BUFFER_BYTES
GUEST_BASE, USER_BASE = 0x100000000, 0x200000000
DESC_NEXT, DESC_WRITE = 1, 2
NO_HEADER = bytes(HEADER_BYTES)


def connect(path, deadline_s=5):
    """Connects to a server port's socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(deadline_s)
    try:
        peer.connect(str(path))
    except OSError:
        peer.close()
        raise
    return peer


def listen(path):
    """Makes the socket of a port in client mode."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


class Vring:
    """A split ring in the guest's memory, from the driver's side."""

    def __init__(self, guest, index):
        self.memory = guest.memory
        self.words = guest.words
        self.base = index * QUEUE_BYTES
        self.guest_base = GUEST_BASE + self.base
        self.avail = 0
        self.used = 0
        self.free = list(range(RING_SIZE))
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def close(self):
        os.close(self.kick)
        os.close(self.call)

    def user_address(self, offset):
        return USER_BASE + self.base + offset

    def set_descriptor(self, i, size, flags, following=0):
        address = self.guest_base + VRING_BYTES + i * BUFFER_BYTES
        struct.pack_into("<QIHH", self.memory, self.base + i * 16, address, size, flags, following)

    def buffer(self, i):
        return self.base + VRING_BYTES + i * BUFFER_BYTES

    def publish(self, head):
        """Makes a chain available; x86 keeps the two stores in order."""
        words = self.words
        words[(self.base + 4096 + 4) // 2 + self.avail % RING_SIZE] = head
        self.avail = (self.avail + 1) & 0xFFFF
        words[(self.base + 4096 + 2) // 2] = self.avail
        if not words[(self.base + 8192) // 2] & 1:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self.kick, 1)

    def next_used(self):
        """(head, bytes) of the next used chain, or None."""
        if self.words[(self.base + 8192 + 2) // 2] == self.used:
            return None
        entry = self.base + 8192 + 4 + 8 * (self.used % RING_SIZE)
        self.used = (self.used + 1) & 0xFFFF
        return struct.unpack_from("<II", self.memory, entry)

    def wait(self, deadline_s):
        ready, _, _ = select.select([self.call], [], [], max(deadline_s, 0))
        if ready:
            os.eventfd_read(self.call)
        return bool(ready)


class VhostGuest:
    """Takes ownership of `peer`, a connected socket. Ready when the constructor returns.

    `features`: those to accept, of what is offered; `offered` tells what that was.
    """

    def __init__(self, peer, features=PLAIN, queues=1):
        self.peer = peer
        peer.settimeout(5)
        self.queues = queues
        size = 2 * queues * QUEUE_BYTES
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.truncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)
        # struct.pack_into() zeroes before it writes, which the other side would see in an index
        self.words = memoryview(self.memory).cast("H")
        self.vrings = [Vring(self, i) for i in range(2 * queues)]
        try:
            self._negotiate(features)
            self._start(size)
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(cls, path, **options):
        return cls(connect(path), **options)

    def _negotiate(self, features):
        self.offered = self.ask(GET_FEATURES)
        missing = (features | PROTOCOL_FEATURES) & ~self.offered
        assert not missing, f"features {missing:#x} are not offered"
        self.features = features | PROTOCOL_FEATURES
        self.protocol = self.ask(GET_PROTOCOL_FEATURES) & (PROTOCOL_MQ | PROTOCOL_REPLY_ACK)
        self.tell(SET_PROTOCOL_FEATURES, struct.pack("<Q", self.protocol), ack=False)
        self.queues_max = self.ask(GET_QUEUE_NUM)
        self.tell(SET_OWNER)
        self.tell(SET_FEATURES, struct.pack("<Q", self.features))

    def _start(self, size):
        self.tell(SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, GUEST_BASE, size, USER_BASE, 0),
                  fds=[self.fd])
        for i, ring in enumerate(self.vrings):
            self.tell(SET_VRING_NUM, struct.pack("<II", i, RING_SIZE))
            self.tell(SET_VRING_BASE, struct.pack("<II", i, 0))
            self.tell(SET_VRING_ADDR, struct.pack("<IIQQQQ", i, 0, ring.user_address(0),
                                                  ring.user_address(8192),
                                                  ring.user_address(4096), 0))
            self.tell(SET_VRING_CALL, struct.pack("<Q", i), fds=[ring.call])
            self.tell(SET_VRING_KICK, struct.pack("<Q", i), fds=[ring.kick])
        for ring in self.vrings[::2]:
            for i in range(RING_SIZE):
                ring.set_descriptor(i, BUFFER_BYTES, DESC_WRITE)
                ring.publish(i)
        for i in range(len(self.vrings)):
            self.enable(i, True)

    def enable(self, vring, on):
        self.tell(SET_VRING_ENABLE, struct.pack("<II", vring, on))

    # ---- messages

    def tell(self, request, payload=b"", fds=(), ack=True):
        """A message without an answer of its own; waits for the acknowledgement if agreed."""
        ack = ack and bool(getattr(self, "protocol", 0) & PROTOCOL_REPLY_ACK)
        flags = VERSION | (NEED_REPLY if ack else 0)
        socket.send_fds(self.peer, [struct.pack("<III", request, flags, len(payload)) + payload],
                        list(fds))
        if ack:
            (status,) = struct.unpack("<Q", self._answer(request))
            assert status == 0, f"request {request} was refused"

    def ask(self, request, payload=b""):
        """A message whose answer is a u64."""
        self.peer.sendall(struct.pack("<III", request, VERSION, len(payload)) + payload)
        return struct.unpack("<Q", self._answer(request))[0]

    def _answer(self, request):
        header = self._read(12)
        answered, _, size = struct.unpack("<III", header)
        assert answered == request, f"the answer to {request} is one to {answered}"
        return self._read(size)

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.peer.recv(size - len(data))
            if not more:
                raise ConnectionError("the back-end hung up")
            data += more
        return data

    def hung_up(self, deadline_s=5):
        """True as soon as the back-end has closed the connection."""
        ready, _, _ = select.select([self.peer], [], [], deadline_s)
        try:
            return bool(ready) and self.peer.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True

    # ---- frames

    def send(self, frame, header=NO_HEADER, queue=0, cut=()):
        """Gives one frame. `cut`: sizes of the first descriptors of the chain (header included)."""
        ring = self.vrings[2 * queue + 1]
        self._reclaim(ring)
        data = header + frame
        sizes = list(cut)
        rest = len(data) - sum(sizes)
        while rest > 0:
            sizes.append(min(rest, BUFFER_BYTES))
            rest -= sizes[-1]
        assert len(ring.free) >= len(sizes), "sluiced takes no frames from this ring"
        chain = [ring.free.pop() for _ in sizes]
        at = 0
        for n, i in enumerate(chain):
            ring.memory[ring.buffer(i):ring.buffer(i) + sizes[n]] = data[at:at + sizes[n]]
            at += sizes[n]
            last = n + 1 == len(chain)
            ring.set_descriptor(i, sizes[n], 0 if last else DESC_NEXT, 0 if last else chain[n + 1])
        ring.publish(chain[0])

    @staticmethod
    def _reclaim(ring):
        while (used := ring.next_used()) is not None:
            i = used[0]
            while True:
                ring.free.append(i)
                flags, following = struct.unpack_from("<HH", ring.memory, ring.base + i * 16 + 12)
                if not flags & DESC_NEXT:
                    break
                i = following

    def outstanding(self, queue=0):
        """How many descriptors sluiced has not given back."""
        ring = self.vrings[2 * queue + 1]
        self._reclaim(ring)
        return RING_SIZE - len(ring.free)

    def recv_with_header(self, deadline_s=5):
        """(virtio-net header, frame) from any queue, or None."""
        end = time.monotonic() + deadline_s
        rings = self.vrings[::2]
        while True:
            for ring in rings:
                used = ring.next_used()
                if used is not None:
                    return self._take(ring, *used)
            if time.monotonic() >= end:
                return None
            # not only the call: a lost notification is another test's matter
            ready, _, _ = select.select([ring.call for ring in rings], [], [],
                                        min(0.02, max(end - time.monotonic(), 0)))
            for call in ready:
                os.eventfd_read(call)

    def _take(self, ring, head, size):
        data = bytes(ring.memory[ring.buffer(head):ring.buffer(head) + size])
        ring.publish(head)
        header = data[:HEADER_BYTES]
        (buffers,) = struct.unpack_from("<H", header, 10)
        for _ in range(1, buffers):
            head, size = ring.next_used()
            data += bytes(ring.memory[ring.buffer(head):ring.buffer(head) + size])
            ring.publish(head)
        return header, data[HEADER_BYTES:]

    def recv(self, deadline_s=5):
        taken = self.recv_with_header(deadline_s)
        return taken and taken[1]

    def recv_until(self, is_last, deadline_s=5):
        return collect(self.recv, is_last, deadline_s)

    def close(self):
        self.peer.close()
        for ring in self.vrings:
            ring.close()
        self.words.release()
        self.memory.close()
        os.close(self.fd)
