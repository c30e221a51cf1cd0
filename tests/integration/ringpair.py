# SPDX-License-Identifier: BSD-3-Clause
"""Two guests with rings of any form on a bridge of their own: numbered frames, and exact books."""

import itertools
import random
import struct

from frames import frame
from ringguest import RingGuest
from vhostuser import EVENT_IDX, IN_ORDER, INDIRECT, MRG_RXBUF, PACKED, VERSION_1
from wait import wait_until

MAC_A, MAC_B = "02:00:00:00:0e:0a", "02:00:00:00:0e:0b"
PLAIN = MRG_RXBUF | VERSION_1 | INDIRECT
RINGS = {
    "split": PLAIN,
    "split-event-idx": PLAIN | EVENT_IDX,
    "packed": PLAIN | PACKED,
    "packed-event-idx-in-order": PLAIN | PACKED | EVENT_IDX | IN_ORDER,
}
# Shortly before an index comes round; packed: with the wrap counter set.
STARTS = {"split": 0xFFFF - 13, "packed": 1 << 15 | 51}
SIZE = 64
BUFFER_BYTES = 600
_bridges = itertools.count()


class Pair:
    """Two guests: a sends, b receives."""

    def __init__(self, sluiced, features, queues=1, regions=1):
        number = next(_bridges)
        self.sluiced = sluiced
        self.rng = random.Random(1)
        self.bridge = f"state{number}"
        self.names = [f"{self.bridge}-{end}" for end in "ab"]
        sluiced.rpc("bridge.add", name=self.bridge)
        self.paths = [sluiced.rpc("port.attach", name=name, bridge=self.bridge, mac=mac,
                                  queues=queues)["socket"]
                      for name, mac in zip(self.names, (MAC_A, MAC_B))]
        start = STARTS["packed" if features & PACKED else "split"]
        self.a, self.b = (RingGuest.at(path, features, size=SIZE, queues=queues, start=start,
                                    regions=regions)
                          for path in self.paths)
        self.sent = 0
        self.got = []
        self.wait_up()

    def wait_up(self):
        for name in self.names:
            self.sluiced.wait_state(name, "up")

    def refill(self, count=SIZE, pair=0):
        """Gives b up to `count` receive buffers."""
        ring = self.b.rx(pair)
        for _ in range(min(count, ring.room())):
            self.b.post([BUFFER_BYTES], pair=pair, publish=False)
        ring.queue.publish()

    def give(self, count, pair=0):
        """a sends as many frames as it has room for, `count` at most, in chains of all forms."""
        rng, ring = self.rng, self.a.tx(pair)
        self.a.reclaim(pair)
        for _ in range(count):
            data = frame(MAC_B, MAC_A, payload=struct.pack("!I", self.sent) +
                         bytes(rng.randrange(46, rng.choice([500, 500, 500, 1400]))))
            pieces = rng.randint(1, 4)
            size = self.a.header_bytes + len(data)
            marks = sorted(rng.sample(range(1, size), pieces - 1))
            indirect = rng.random() < 0.4
            if ring.room() < (1 if indirect else pieces):
                break
            self.a.send(data, pair=pair, publish=False, indirect=indirect,
                        cut=[end - begin for begin, end in zip([0, *marks], [*marks, size])])
            self.sent += 1
        self.a.publish(pair)

    def collect(self, pair=0):
        """Takes what b has got so far."""
        while (taken := self.b.recv(0, pair)) is not None:
            self.got.append(struct.unpack_from("!I", taken[1], 14)[0])

    def dropped(self):
        sender, receiver = (self.sluiced.stats(name) for name in self.names)
        return sender["tx_dropped"] + receiver["rx_dropped"]

    def counted(self):
        stats = self.sluiced.stats(self.names[0])
        return stats["tx_packets"] + stats["tx_dropped"]

    def settle(self, pairs=(0,)):
        """Lets everything arrive that is under way; every frame must be accounted for, once."""

        def done():
            for pair in pairs:
                self.collect(pair)
                self.refill(pair=pair)
                self.a.reclaim(pair)
            held = sum(len(self.a.tx(pair).held) for pair in pairs)
            books = held, self.counted(), len(self.got) + self.dropped()
            return books == (0, self.sent, self.sent) or print(f"{books} of {self.sent}")

        wait_until(done, f"{self.sent} frames to be accounted for")
        assert len(set(self.got)) == len(self.got), "a frame came twice"

    def assert_all_came(self):
        self.settle()
        missing = sorted(set(range(self.sent)) - set(self.got))
        stats = [self.sluiced.stats(name) for name in self.names]
        assert not missing, (missing, stats[0]["tx_dropped_by"], stats[1]["rx_dropped_by"])
        assert self.got == list(range(self.sent)), "a frame overtook another"

    def restart(self, guest):
        """The rings of a guest, which are stopped, go on."""
        for ring in guest.rings:
            guest.start(ring)
        self.wait_up()

    def close(self):
        for name, guest in zip(self.names, (self.a, self.b)):
            self.sluiced.rpc("port.detach", name=name)
            guest.close()
        self.sluiced.rpc("bridge.del", name=self.bridge)
