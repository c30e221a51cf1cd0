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
import struct
import time

from netns import collect
from vhostuser import (  # more than is used here: tests take these names from this module
    CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, SET_MEM_TABLE, SET_VRING_ADDR,
    SET_VRING_BASE, SET_VRING_CALL, SET_VRING_KICK, SET_VRING_NUM, VERSION_1, FrontEnd, connect,
    listen)

PLAIN = MRG_RXBUF | VERSION_1

RING_SIZE = 256
BUFFER_BYTES = 4096
HEADER_BYTES = 12
VRING_BYTES = 1 << 14  # descriptors, avail, used: 4 KiB each
QUEUE_BYTES = VRING_BYTES + RING_SIZE * BUFFER_BYTES
GUEST_BASE, USER_BASE = 0x100000000, 0x200000000
DESC_NEXT, DESC_WRITE = 1, 2
NO_HEADER = bytes(HEADER_BYTES)


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


class VhostGuest(FrontEnd):
    """Takes ownership of `peer`, a connected socket. Ready when the constructor returns."""

    def __init__(self, peer, features=PLAIN, queues=1):
        super().__init__(peer)
        self.queues = queues
        size = 2 * queues * QUEUE_BYTES
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.truncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)
        # struct.pack_into() zeroes before it writes, which the other side would see in an index
        self.words = memoryview(self.memory).cast("H")
        self.vrings = [Vring(self, i) for i in range(2 * queues)]
        try:
            self.negotiate(features)
            self._start(size)
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(cls, path, **options):
        return cls(connect(path), **options)

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
