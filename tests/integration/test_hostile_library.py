# SPDX-License-Identifier: BSD-3-Clause
"""Ports of the library path: librte_vhost believes much of a guest, and sluiced must not suffer by it."""

import pytest

from frames import BROADCAST, frame
from ringguest import RingGuest
from vhostguest import PLAIN
from wait import wait_until

LIAR, HONEST = "02:00:00:00:77:01", "02:00:00:00:77:02"
SIZE = 8  # entries; fewer than the frames of a burst
CONNECTIONS = 5
BEYOND = 5000


@pytest.fixture
def ports(sluiced):
    """A library port for the liar, and a guest on a direct one that can send to it."""
    sluiced.rpc("bridge.add", name="lies")
    paths = [sluiced.rpc("port.attach", name=name, bridge="lies", mac=mac, datapath=datapath)["socket"]
             for name, mac, datapath in (("liar", LIAR, "library"), ("honest", HONEST, "direct"))]
    honest = RingGuest.at(paths[1], PLAIN)
    sluiced.wait_state("honest", "up")
    yield paths[0], honest
    honest.close()
    for name in ("liar", "honest"):
        sluiced.rpc("port.detach", name=name)
    sluiced.rpc("bridge.del", name="lies")


def more_than_there_is(queue):
    """Says that far more is available than the ring has."""
    queue.set_word(queue.driver + 2, (queue.next + BEYOND) & 0xFFFF)
    queue.notify()


def lie_while_sending(sluiced, guest, _):
    def taken():
        stats = sluiced.port("liar")["stats"]
        return stats["tx_packets"] + stats["tx_dropped"]

    before = taken()
    for _ in range(SIZE):
        guest.send(frame(BROADCAST, LIAR, size=60), publish=False)
    more_than_there_is(guest.tx().queue)
    wait_until(lambda: taken() >= before + 8 * SIZE, "more frames than the ring has")


def lie_while_receiving(sluiced, guest, honest):
    def offered():
        stats = sluiced.port("liar")["stats"]
        return stats["rx_packets"] + stats["rx_dropped"]

    before = offered()
    for _ in range(SIZE):
        guest.post([600], publish=False)
    more_than_there_is(guest.rx().queue)
    def has_room():
        honest.reclaim()
        return len(honest.tx().free) >= 4 * SIZE

    for _ in range(8):
        wait_until(has_room, "room for more frames")
        for _ in range(4 * SIZE):
            honest.send(frame(LIAR, HONEST, size=60), publish=False)
        honest.tx().queue.publish()
    wait_until(lambda: offered() >= before + 8 * SIZE, "more frames than the ring has")


@pytest.mark.parametrize("lie", [lie_while_sending, lie_while_receiving])
def test_index_beyond_a_small_ring(sluiced, ports, lie):
    """22.11 notes used entries in an array of the ring's size, and would write past its end."""
    path, honest = ports
    for _ in range(CONNECTIONS):
        guest = RingGuest.at(path, PLAIN, size=SIZE)
        sluiced.wait_state("liar", "up")
        lie(sluiced, guest, honest)
        guest.close()
        sluiced.wait_state("liar", "waiting")
    assert sluiced.process.alive()
