# SPDX-License-Identifier: BSD-3-Clause
"""A guest in this process whose rings have any shape: see virtqueue.py.

Beside VhostGuest, which sends and receives plainly, it chooses how each frame lies in memory,
checks every byte that sluiced writes (nothing behind what was used, all buffers of a frame at
once), and stops, starts and moves its rings.
"""

import os
import select
import struct
import time

from virtqueue import Memory, PackedQueue, SplitQueue
from vhostuser import (
    EVENT_IDX, GET_FEATURES, IN_ORDER, MQ, MRG_RXBUF, PACKED, SET_LOG_BASE, SET_MEM_TABLE,
    SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL, SET_VRING_KICK, SET_VRING_NUM, VERSION_1,
    FrontEnd, connect)

TABLE_BYTES = 16 * 256
BUFFER_BYTES = 92 << 10
SLOT_BYTES = TABLE_BYTES + BUFFER_BYTES
UNTOUCHED = b"\xa5"
LOGGED = 1  # SET_VRING_ADDR's flag


class Ring:
    """A virtqueue and a slot of memory for each chain that it may have."""

    def __init__(self, guest, number, size, start):
        kind = PackedQueue if guest.features & PACKED else SplitQueue
        self.number = number
        self.memory = guest.memory
        self.queue = kind(guest.memory, size, start, event_idx=bool(guest.features & EVENT_IDX),
                          in_order=bool(guest.features & IN_ORDER))
        self.slots = guest.memory.take(size * SLOT_BYTES)
        self.free = list(range(size))
        self.held = {}  # id -> (slot, pieces as (offset, bytes))

    def add(self, sizes, write=False, indirect=False, rng=None, gap_max=0, data=None):
        """Adds a chain of pieces with these sizes; `gap_max` bytes lie between two."""
        slot = self.free.pop(0)
        table = self.slots + slot * SLOT_BYTES
        at = table + TABLE_BYTES
        pieces = []
        for size in sizes:
            if gap_max:
                at += rng.randrange(gap_max)
            pieces.append((at, size))
            at += size
        assert at <= table + SLOT_BYTES, "the chain is too long for its slot"
        position = 0
        for offset, size in pieces:
            if data is None:
                self.memory.bytes[offset:offset + size] = UNTOUCHED * size
            else:
                self.memory.bytes[offset:offset + size] = data[position:position + size]
                position += size
        number = self.queue.add([(self.memory.gpa(offset), size) for offset, size in pieces], write,
                                table if indirect else None, rng.shuffle if rng else None)
        self.held[number] = slot, pieces
        return number

    def room(self):
        return min(self.queue.room(), len(self.free))

    def take_used(self):
        """(pieces, bytes) of the next chain that came back, or None."""
        used = self.queue.take_used()
        if used is None:
            return None
        slot, pieces = self.held.pop(used[0])
        self.free.append(slot)
        return pieces, used[1]

    def written(self, pieces, size):
        """The first `size` bytes of a chain; nothing was written behind them."""
        parts = []
        for offset, room in pieces:
            part = self.memory.bytes[offset:offset + room]
            parts.append(part[:size])
            rest = part[size:]
            assert rest == UNTOUCHED * len(rest), "sluiced wrote behind what it says it used"
            size -= len(parts[-1])
        assert size == 0, "sluiced says that it used more than there is"
        return b"".join(parts)

    def resize(self, size, start):
        """Another ring in its place, with nothing in it. At most as large as the first one was."""
        old = self.queue
        self.queue = type(old)(self.memory, size, start, event_idx=old.event_idx,
                               in_order=old.in_order)
        old.close()
        self.held.clear()
        self.free = list(range(size))


class RingGuest(FrontEnd):
    """Takes ownership of `peer`. Its rings run when the constructor returns, without buffers."""

    def __init__(self, peer, features, size=256, queues=1, start=0, regions=1, gap=0):
        super().__init__(peer)
        self.features = features | (MQ if queues > 1 else 0)
        self.header_bytes = 12 if features & (MRG_RXBUF | VERSION_1) else 10
        rings = 2 * queues
        wanted = rings * (size * (SLOT_BYTES + 64) + (1 << 16))
        step = -(-wanted // regions // 4096) * 4096
        self.memory = Memory([step] * regions, gap)
        self.rings = [Ring(self, i, size, start) for i in range(rings)]
        try:
            self.set_up()
        except BaseException:
            self.close()
            raise

    def set_up(self):
        """Says all that a fresh connection needs; the rings go on where they stand."""
        self.negotiate(self.features)
        self.send_memory()
        for ring in self.rings:
            self.start(ring)
        for ring in self.rings:
            self.enable(ring.number, True)

    def connect_again(self, path):
        """As a front-end that was killed and has come back: same memory, new connection. The rings
        go on behind what was used; what was used is still to be taken."""
        self.peer.close()
        self.protocol = 0
        self.peer = connect(path)
        self.set_up()

    @classmethod
    def at(cls, path, features, **options):
        return cls(connect(path), features, **options)

    def rx(self, pair=0):
        return self.rings[2 * pair]

    def tx(self, pair=0):
        return self.rings[2 * pair + 1]

    # ---- messages

    def sync(self):
        """Returns when sluiced is done with what was said: librte_vhost acknowledges before it
        tells that a ring has come or gone."""
        self.ask(GET_FEATURES)

    def enable(self, vring, on):
        super().enable(vring, on)
        self.sync()

    def send_memory(self):
        payload, fds = self.memory.table()
        self.tell(SET_MEM_TABLE, payload, fds=fds)

    def send_address(self, ring, logged=False):
        queue, user = ring.queue, self.memory.user
        self.tell(SET_VRING_ADDR, struct.pack(
            "<IIQQQQ", ring.number, LOGGED if logged else 0, user(queue.desc), user(queue.device),
            user(queue.driver), self.memory.gpa(self.used_ring(ring))))

    @staticmethod
    def used_ring(ring):
        """What the device writes apart from buffers: the log gets its address."""
        return ring.queue.device if isinstance(ring.queue, SplitQueue) else ring.queue.desc

    def send_log(self):
        """Another dirty log, for all of the memory. Returns its descriptor, the caller's."""
        first, size, _, _ = self.memory.regions[-1]
        log_bytes = -(-(first + size) // (8 * 4096 * 4096)) * 4096
        fd = os.memfd_create("dirty-log", os.MFD_CLOEXEC)
        os.truncate(fd, log_bytes)
        self.tell(SET_LOG_BASE, struct.pack("<QQ", log_bytes, 0), fds=[fd], answered=True)
        return fd

    def send_call(self, ring):
        self.tell(SET_VRING_CALL, struct.pack("<Q", ring.number), fds=[ring.queue.call])

    def start(self, ring, logged=False):
        """Starts a ring where it stands."""
        queue = ring.queue
        self.tell(SET_VRING_NUM, struct.pack("<II", ring.number, queue.size))
        self.tell(SET_VRING_BASE, struct.pack("<II", ring.number, queue.device_base()))
        self.send_address(ring, logged)
        self.send_call(ring)
        self.tell(SET_VRING_KICK, struct.pack("<Q", ring.number), fds=[queue.kick])
        self.sync()

    def stop(self, ring):
        """GET_VRING_BASE, whose answer must be where the ring stands."""
        base = self.stop_vring(ring.number)
        stands = ring.queue.device_base()
        assert base & 0xFFFF == stands, f"ring {ring.number} stands at {stands:#x}, not {base:#x}"

    # ---- frames

    def send(self, frame, header=None, cut=None, pair=0, publish=True, **options):
        """Gives one frame. `cut`: sizes of all descriptors, of header and frame together."""
        header = header or bytes(self.header_bytes)
        data = header[:self.header_bytes] + frame
        ring = self.tx(pair)
        self.reclaim(pair)
        ring.add(cut or [len(data)], data=data, **options)
        if publish:
            ring.queue.publish()

    def publish(self, pair=0):
        self.tx(pair).queue.publish()

    def reclaim(self, pair=0):
        """Takes back what was sent. Returns how many."""
        count = 0
        while self.tx(pair).take_used() is not None:
            count += 1
        return count

    def post(self, sizes, pair=0, publish=True, **options):
        """Gives one receive buffer of pieces with these sizes."""
        ring = self.rx(pair)
        ring.add(sizes, write=True, **options)
        if publish:
            ring.queue.publish()

    def recv(self, deadline_s=5, pair=0):
        """(header, frame, [bytes used of each buffer]), or None."""
        ring = self.rx(pair)
        end = time.monotonic() + deadline_s
        while (used := ring.take_used()) is None:
            left = end - time.monotonic()
            if left <= 0:
                return None
            ring.queue.want_call()
            # not only the call: a lost notification is another test's matter
            if select.select([ring.queue.call], [], [], min(left, 0.002))[0]:
                os.eventfd_read(ring.queue.call)
        data = ring.written(*used)
        sizes = [used[1]]
        header = data[:self.header_bytes]
        assert len(header) == self.header_bytes or self.features & MRG_RXBUF, "header cut"
        if self.features & MRG_RXBUF:
            while len(data) < self.header_bytes:
                data += self._more(ring, sizes)
            header = data[:self.header_bytes]
            (buffers,) = struct.unpack_from("<H", header, 10)
            assert buffers >= len(sizes), f"{len(sizes)} buffers of {buffers} hold the header"
            for _ in range(len(sizes), buffers):
                data += self._more(ring, sizes)
        return header, data[self.header_bytes:], sizes

    @staticmethod
    def _more(ring, sizes):
        used = ring.take_used()
        assert used is not None, "a part of a frame was published"
        sizes.append(used[1])
        return ring.written(*used)

    def close(self):
        self.peer.close()
        for ring in self.rings:
            ring.queue.close()
        self.memory.close()
