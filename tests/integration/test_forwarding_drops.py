# SPDX-License-Identifier: BSD-3-Clause
"""What is not delivered, and under which name it is counted."""

import random

import pytest

import vhostguest
from frames import BROADCAST, assert_got, frame
from packets import UDP, request
from wait import wait_until

MAC_A, MAC_B, MAC_C = (f"02:00:00:00:02:0{i}" for i in "abc")
UNKNOWN = "02:00:00:00:02:99"


def dropped(net, member):
    """Reasons and counts of what the member's guest gave and sluiced dropped."""
    return {reason: count for reason, count in net.stats(member)["tx_dropped_by"].items() if count}


def undelivered(net, member):
    """Reasons and counts of what the member's guest should have got."""
    return {reason: count for reason, count in net.stats(member)["rx_dropped_by"].items() if count}


def test_foreign_source_is_spoofed(net):
    a, b = net.guest("a", mac=[MAC_A, MAC_C]), net.guest("b")
    own, own_too = frame(BROADCAST, MAC_A), frame(BROADCAST, MAC_C)
    for one in (own, frame(BROADCAST, MAC_B), own_too):
        net.send(a, one)
    assert_got(net.received(b), own, own_too)
    assert dropped(net, a) == {"spoof": 1}


@pytest.mark.parametrize("source", ["01:00:5e:00:00:01", BROADCAST])
def test_group_source_is_a_bad_frame(net, source):
    a, b = net.guest("a"), net.guest("b")
    net.send(a, frame(BROADCAST, source))
    assert_got(net.received(b))
    assert dropped(net, a) == {"bad_frame": 1}
    assert not net.macs()


@pytest.mark.parametrize("size", [1, 6, 13])
def test_frame_shorter_than_its_header_is_bad(net, size):
    a, b = net.guest("a"), net.guest("b")
    net.send(a, frame(BROADCAST, MAC_A)[:size])
    assert_got(net.received(b))
    assert dropped(net, a) == {"bad_frame": 1}


def test_header_alone_is_a_frame(net):
    a, b = net.guest("a"), net.guest("b")
    bare = frame(BROADCAST, MAC_A, payload=b"")
    net.send(a, bare)
    assert_got(net.received(b), bare)


def test_mtu_of_the_input(net):
    a, b = net.guest("a", mtu=1500), net.guest("b", mtu=9000)
    longest = frame(BROADCAST, MAC_A, size=1518)
    longest_tagged = frame(BROADCAST, MAC_A, size=1518, vlan=7)
    for one in (longest, frame(BROADCAST, MAC_A, size=1519), longest_tagged,
                frame(BROADCAST, MAC_A, size=1519, vlan=7)):
        net.send(a, one)
    assert_got(net.received(b), longest, longest_tagged)
    assert dropped(net, a) == {"mtu": 2}


def test_mtu_of_the_output(net):
    a, small, large = net.guest("a", mtu=9000), net.guest("b", mtu=1500), net.guest("c", mtu=9000)
    long = frame(BROADCAST, MAC_A, size=9014)
    net.send(a, long)
    assert_got(net.received(large), long)
    assert_got(net.received(small))
    assert undelivered(net, small) == {"mtu": 1}
    assert dropped(net, a) == {}


def test_largest_mtu(net):
    a, b = net.guest("a", mtu=9702), net.guest("b", mtu=9702)
    largest = frame(BROADCAST, MAC_A, size=9720, vlan=7)
    net.send(a, largest)
    assert_got(net.received(b), largest)
    net.send(a, frame(BROADCAST, MAC_A, size=9721))
    assert_got(net.received(b))
    assert dropped(net, a) == {"mtu": 1}


def test_mtu_changes_while_the_port_is_up(net):
    a, b = net.guest("a", mtu=9000), net.guest("b", mtu=1500)
    long = frame(BROADCAST, MAC_A, size=4000)
    net.send(a, long)
    assert_got(net.received(b))
    net.sluiced.rpc("port.set", name=b.name, mtu=9000)
    net.send(a, long)
    assert_got(net.received(b), long)


def test_nobody_to_give_it_to(net):
    lonely = net.guest("a")
    net.send(lonely, frame(UNKNOWN, MAC_A))
    assert dropped(net, lonely) == {"no_output": 1}


def test_output_without_a_guest(net):
    a = net.guest("a")
    absent = net.attach("b", mac=MAC_B)
    net.send(a, frame(MAC_B, MAC_A))
    net.sluiced.wait_stat(absent["name"], "rx_dropped_by", "no_guest")
    stats = net.sluiced.stats(absent["name"])
    assert (stats["rx_dropped"], stats["rx_packets"]) == (1, 0)
    assert dropped(net, a) == {}


def test_full_ring_counts_what_did_not_fit(make_net):
    net = make_net()
    a, b = net.guest("a"), net.guest("b", mac=MAC_B)
    sent = vhostguest.RING_SIZE + 50
    for i in range(sent):
        net.send(a, frame(MAC_B, MAC_A), wait=i % 100 == 99)  # b takes nothing meanwhile
    net.sluiced.wait_stat(b.name, "rx_dropped_by", "ring_full", at_least=50)
    stats = net.stats(b)
    assert (stats["rx_packets"], undelivered(net, b)) == (sent - 50, {"ring_full": 50})
    got = [b.recv() for _ in range(sent - 50)]
    assert None not in got
    again = frame(MAC_B, MAC_A)
    net.send(a, again)
    assert_got([b.recv()], again)


def test_queue_that_the_guest_disabled(make_net):
    net = make_net()
    a, b = net.guest("a"), net.guest("b", mac=MAC_B)
    b.end.enable(0, False)
    net.send(a, frame(MAC_B, MAC_A))
    wait_until(lambda: sum(undelivered(net, b).values()) == 1, "the frame to be counted")
    assert undelivered(net, b) in ({"queue_off": 1}, {"no_guest": 1})
    b.end.enable(0, True)
    back = frame(MAC_B, MAC_A)
    wait_until(lambda: net.send(a, back) or b.recv(0.2), "frames after the queue is back")


def test_vepa_port_talks_to_the_uplink_only(make_net):
    net = make_net()
    vepa, neighbour = net.guest("a", mac=MAC_A, switching="vepa"), net.guest("b", mac=MAC_B)
    uplink = net.uplink("up")
    out = frame(MAC_B, MAC_A)
    net.send(vepa, out)
    assert_got(net.received(uplink), out)
    assert_got(net.received(neighbour))
    net.send(uplink, out)  # the adjacent bridge reflects it
    assert_got(net.received(neighbour), out)
    direct = frame(MAC_A, MAC_B)
    net.send(neighbour, direct)
    assert_got(net.received(vepa, via=uplink))
    assert_got(net.received(uplink), direct)


def test_vepa_broadcast_is_not_reflected_to_its_sender(make_net):
    net = make_net()
    vepa, neighbour = net.guest("a", mac=MAC_A, switching="vepa"), net.guest("b", mac=MAC_B)
    uplink = net.uplink("up")
    to_all = frame(BROADCAST, MAC_A)
    net.send(vepa, to_all)
    assert_got(net.received(uplink), to_all)
    assert_got(net.received(neighbour))
    net.send(uplink, to_all)
    assert_got(net.received(neighbour), to_all)
    assert_got(net.received(vepa, via=uplink))


def test_counters_of_a_mixture(net):
    """Bytes and packets, by direction, on both sides of one exchange."""
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    before = net.stats(a), net.stats(b)
    sizes = [60, 64, 128, 1000, 1514]
    for size in sizes:
        net.send(a, frame(MAC_B, MAC_A, size=size))
    net.send(a, frame(MAC_B, MAC_C))  # spoof
    after = net.stats(a), net.stats(b)
    assert after[0]["tx_packets"] - before[0]["tx_packets"] == len(sizes)
    assert after[0]["tx_bytes"] - before[0]["tx_bytes"] == sum(sizes)
    assert after[1]["rx_packets"] - before[1]["rx_packets"] == len(sizes)
    assert after[1]["rx_bytes"] - before[1]["rx_bytes"] == sum(sizes)
    assert after[0]["tx_dropped"] - before[0]["tx_dropped"] == 1
    assert len(net.received(b)) == len(sizes)


def test_burst_keeps_its_order(net):
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    sent = [frame(MAC_B, MAC_A, size=60 + i) for i in range(200)]
    for one in sent:
        net.send(a, one, wait=False)
    assert_got([b.recv() for _ in sent], *sent)


def test_frame_in_many_descriptors(net):
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    for cut in ([12], [12, 14], [5, 7, 1, 13], [12] + [20] * 40):
        one = frame(MAC_B, MAC_A, size=1200)
        net.send(a, one, cut=cut)
        assert_got(net.received(b), one)
    assert a.end.outstanding() == 0


def test_no_queue_of_a_device_is_forgotten(net):
    """With one lcore: net_af_packet has the kernel divide flows among all the queues that it has."""
    guest, uplink = net.guest("a", mac=MAC_A), net.uplink("up", ",qpairs=4")
    rng = random.Random(7)
    for number in range(64):
        net.send(uplink, request(rng, number, MAC_A, MAC_B, None, False, UDP, 20).frame)
    assert net.stats(guest)["rx_packets"] == 64
