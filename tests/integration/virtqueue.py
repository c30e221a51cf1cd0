# SPDX-License-Identifier: BSD-3-Clause
"""A virtqueue from the driver's side, split or packed, in any shape that a driver may give it.

A chain is a list of pieces (guest physical address, bytes). It may lie in the ring or in an
indirect table. What is added is seen by the device when publish() says so, all at once.
"""

import contextlib
import mmap
import os
import struct

NEXT, WRITE, CHAIN_IN_TABLE = 1, 2, 4
AVAIL_FLAG, USED_FLAG = 1 << 7, 1 << 15
WRAP = 1 << 15

GPA_FIRST, USER_FIRST = 0x1_0000_0000, 0x7000_0000_0000
USER_GAP = 1 << 40


class Memory:
    """A guest's memory: regions of one file, which follow each other in guest physical addresses
    with `gap` bytes between them."""

    def __init__(self, sizes, gap=0):
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.truncate(self.fd, sum(sizes))
        self.bytes = mmap.mmap(self.fd, sum(sizes))
        # struct.pack_into() zeroes before it writes, which the other side would see in an index
        self.words = memoryview(self.bytes).cast("H")
        self.regions = []  # (first guest physical, bytes, first user address, offset)
        self.gap = gap
        self.taken = 0
        offset = 0
        for i, size in enumerate(sizes):
            self.regions.append((GPA_FIRST + offset + i * gap, size,
                                 USER_FIRST + i * USER_GAP, offset))
            offset += size

    def take(self, size, align=4096):
        """Sets memory aside; its offset."""
        at = -(-self.taken // align) * align
        assert at + size <= len(self.bytes), "the guest has too little memory"
        self.taken = at + size
        return at

    def _region(self, offset):
        return next(region for region in self.regions
                    if region[3] <= offset < region[3] + region[1])

    def gpa(self, offset):
        first, _, _, at = self._region(offset)
        return first + offset - at

    def user(self, offset):
        _, _, first, at = self._region(offset)
        return first + offset - at

    def table(self):
        """SET_MEM_TABLE's payload and descriptors."""
        return (struct.pack("<II", len(self.regions), 0) +
                b"".join(struct.pack("<QQQQ", *region) for region in self.regions),
                [self.fd] * len(self.regions))

    def close(self):
        self.words.release()
        self.bytes.close()
        os.close(self.fd)


class Virtqueue:
    """What both kinds have: notifications, and the books of what the device holds."""

    parts = ()  # sizes of descriptor, driver's and device's area, as functions of the ring's size

    def __init__(self, memory, size, start, event_idx=False, in_order=False):
        self.memory = memory
        self.size = size
        self.event_idx = event_idx
        self.in_order = in_order
        self.desc, self.driver, self.device = (memory.take(part(size)) for part in self.parts)
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.kicks = 0
        self.order = []  # ids in the order in which they were added
        self.restart(start)

    def restart(self, start):
        raise NotImplementedError

    def take_used(self):
        raise NotImplementedError

    def is_wanted(self):
        raise NotImplementedError

    def close(self):
        os.close(self.kick)
        os.close(self.call)

    def word(self, offset):
        return self.memory.words[offset // 2]

    def set_word(self, offset, value):
        self.memory.words[offset // 2] = value

    def notify(self):
        """Where the device wants it, as it says when all else is written (the system call before is a barrier)."""
        os.sched_yield()
        if not self.is_wanted():
            return
        self.kicks += 1
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self.kick, 1)

    def take_all_used(self):
        """[(id, bytes)]"""
        taken = []
        while (used := self.take_used()) is not None:
            taken.append(used)
        return taken

    def _write_table(self, table, pieces, flags, order):
        """An indirect table; entries of a split ring's may lie in any order."""
        for n, (gpa, size) in enumerate(pieces):
            last = n + 1 == len(pieces)
            self._write_entry(table + 16 * order[n], gpa, size, flags | (0 if last else NEXT),
                              0 if last else order[n + 1])

    def _write_entry(self, at, gpa, size, flags, following):
        raise NotImplementedError


class SplitQueue(Virtqueue):
    parts = (lambda size: 16 * size, lambda size: 6 + 2 * size, lambda size: 6 + 8 * size)

    def restart(self, start):
        """The ring, of nothing, from an index on."""
        self.next = self.seen = start
        self.free = list(range(self.size))
        self.chains = {}
        self.order.clear()
        self.set_word(self.driver + 2, start)
        self.set_word(self.device + 2, start)

    def _write_entry(self, at, gpa, size, flags, following):
        struct.pack_into("<QIHH", self.memory.bytes, at, gpa, size, flags, following)

    def room(self):
        return len(self.free)

    def add(self, pieces, write=False, table=None, shuffle=None):
        """Adds a chain; its id. `table`: where to put an indirect table. `shuffle(list)`: mixes
        which descriptors are taken."""
        flags = WRITE if write else 0
        if table is not None:
            order = list(range(len(pieces)))
            if shuffle:
                rest = order[1:]  # a chain begins with the first entry
                shuffle(rest)
                order[1:] = rest
            self._write_table(table, pieces, flags, order)
            pieces = [(self.memory.gpa(table), 16 * len(pieces))]
            flags = CHAIN_IN_TABLE
        if shuffle:
            shuffle(self.free)
        chain = [self.free.pop() for _ in pieces]
        for n, (gpa, size) in enumerate(pieces):
            last = n + 1 == len(pieces)
            self._write_entry(self.desc + 16 * chain[n], gpa, size, flags | (0 if last else NEXT),
                              0 if last else chain[n + 1])
        self.chains[chain[0]] = chain
        self.order.append(chain[0])
        self.add_head(chain[0])
        return chain[0]

    def add_head(self, head):
        self.set_word(self.driver + 4 + 2 * (self.next % self.size), head)
        self.next = (self.next + 1) & 0xFFFF

    def publish(self):
        self.published = self.word(self.driver + 2)
        self.set_word(self.driver + 2, self.next)
        self.notify()

    def is_wanted(self):
        """vring_need_event() of linux/virtio_ring.h, or the flag."""
        if self.event_idx:
            event = self.word(self.device + 4 + 8 * self.size)
            return (self.next - event - 1) & 0xFFFF < (self.next - self.published) & 0xFFFF
        return not self.word(self.device) & 1

    def used_index(self):
        return self.word(self.device + 2)

    def take_used(self):
        """(id, bytes) of the next chain that came back, or None."""
        if self.used_index() == self.seen:
            return None
        entry = self.device + 4 + 8 * (self.seen % self.size)
        head, size = struct.unpack_from("<II", self.memory.bytes, entry)
        if self.in_order:  # the device may leave out all but the last of a batch
            expected = self.order[0]
            head, size = (head, size) if head == expected else (expected, 0)
        self.seen = (self.seen + 1) & 0xFFFF
        assert head in self.chains, f"the device gives back {head}, which it has not"
        self.free += self.chains.pop(head)
        self.order.remove(head)
        return head, size

    def device_base(self):
        """Where the device stands, in SET_VRING_BASE's form."""
        return self.used_index()

    def driver_base(self):
        """Where it stands when all that was published is used."""
        return self.next

    def want_call(self):
        if self.event_idx:
            self.set_word(self.driver + 4 + 2 * self.size, self.seen)


class PackedQueue(Virtqueue):
    parts = (lambda size: 16 * size, lambda size: 4, lambda size: 4)

    def restart(self, start):
        """`start`: index and, as bit 15, wrap counter."""
        self.next = self.seen = start & ~WRAP
        self.next_wrap = self.seen_wrap = bool(start & WRAP)
        self.free = list(range(self.size))
        self.slots_free = self.size
        self.chains = {}
        self.held = []  # flags not written yet, as (offset, flags)
        self.batch = None
        self.order.clear()
        # Nothing is available: what lies ahead looks used, in this turn and the next.
        for i in range(self.size):
            wrap = self.seen_wrap ^ (i < self.seen)
            self.set_word(self.desc + 16 * i + 14, 0 if wrap else AVAIL_FLAG | USED_FLAG)

    def _write_entry(self, at, gpa, size, flags, following):
        struct.pack_into("<QIHH", self.memory.bytes, at, gpa, size, 0, flags)

    def room(self):
        return min(self.slots_free, len(self.free))

    def add(self, pieces, write=False, table=None, shuffle=None):
        flags = WRITE if write else 0
        if table is not None:
            self._write_table(table, pieces, flags, range(len(pieces)))
            pieces = [(self.memory.gpa(table), 16 * len(pieces))]
            flags = CHAIN_IN_TABLE
        if shuffle:
            shuffle(self.free)
        number = self.free.pop()
        self.chains[number] = len(pieces)
        self.order.append(number)
        self.slots_free -= len(pieces)
        assert self.slots_free >= 0
        for n, (gpa, size) in enumerate(pieces):
            last = n + 1 == len(pieces)  # whose id counts
            self.add_slot(gpa, size, flags | (0 if last else NEXT), number if last else 0xFFFF)
        return number

    def add_slot(self, gpa, size, flags, number):
        at = self.desc + 16 * self.next
        struct.pack_into("<QIH", self.memory.bytes, at, gpa, size, number)
        self.held.append((at + 14, flags | (AVAIL_FLAG if self.next_wrap else USED_FLAG)))
        self.next += 1
        if self.next == self.size:
            self.next, self.next_wrap = 0, not self.next_wrap

    def publish(self):
        """The first flags last: the device stops there until then."""
        for at, flags in reversed(self.held):
            self.set_word(at, flags)
        self.held.clear()
        self.notify()

    def is_wanted(self):
        """The device's event suppression area: 1 is "disabled". It never asks for one descriptor's alone."""
        flags = self.word(self.device + 2)
        assert flags in (0, 1), f"event flags {flags}"
        return flags == 0

    def take_used(self):
        if self.batch is None:
            flags = self.word(self.desc + 16 * self.seen + 14)
            if not bool(flags & AVAIL_FLAG) == bool(flags & USED_FLAG) == self.seen_wrap:
                return None
            size, number = struct.unpack_from("<IH", self.memory.bytes,
                                              self.desc + 16 * self.seen + 8)
            assert number in self.chains, f"the device gives back {number}, which it has not"
            self.batch = number, size
        number, size = self.batch
        if self.in_order and self.order[0] != number:  # one entry for all up to `number`
            number, size = self.order[0], 0
        else:
            self.batch = None
        self.order.remove(number)
        slots = self.chains.pop(number)
        self.free.append(number)
        self.slots_free += slots
        self.seen, self.seen_wrap = self._step(self.seen, self.seen_wrap, slots)
        return number, size

    def _slots(self, number):
        """How many slots the device skips for this one: of an in-order batch, all up to it."""
        if not self.in_order:
            return self.chains[number]
        numbers = self._order_left
        end = numbers.index(number) + 1
        slots = sum(self.chains[one] for one in numbers[:end])
        del numbers[:end]
        return slots

    def device_base(self):
        at, wrap = self.seen, self.seen_wrap
        self._order_left = list(self.order)
        if self.batch is not None:
            slots = self._slots(self.batch[0])
            at, wrap = self._step(at, wrap, slots)
        for _ in range(self.size):
            flags = self.word(self.desc + 16 * at + 14)
            if not bool(flags & AVAIL_FLAG) == bool(flags & USED_FLAG) == wrap:
                break
            (number,) = struct.unpack_from("<H", self.memory.bytes, self.desc + 16 * at + 12)
            at, wrap = self._step(at, wrap, self._slots(number))
        return at | (WRAP if wrap else 0)

    def driver_base(self):
        return self.next | (WRAP if self.next_wrap else 0)

    def _step(self, at, wrap, slots):
        at += slots
        return (at - self.size, not wrap) if at >= self.size else (at, wrap)

    def want_call(self):
        if self.event_idx:  # at the next descriptor that comes back
            self.set_word(self.driver, self.seen | (WRAP if self.seen_wrap else 0))
            self.set_word(self.driver + 2, 2)
