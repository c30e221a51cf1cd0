# SPDX-License-Identifier: BSD-3-Clause
"""Where a frame goes by its addresses: static, learned, unknown, group."""

import pytest

from frames import BROADCAST, assert_got, frame
from wait import wait_until

MAC_A, MAC_B, MAC_C, MAC_D = (f"02:00:00:00:00:0{i}" for i in "abcd")
UNKNOWN = "02:00:00:00:00:99"
ALL_NODES = "33:33:00:00:00:01"
LLDP = "01:80:c2:00:00:0e"


def test_static_mac_is_known_before_the_guest_speaks(net):
    a, b, c = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B), net.guest("c")
    uplink = net.uplink("up")
    to_b = frame(MAC_B, MAC_A)
    net.send(a, to_b)
    assert_got(net.received(b), to_b)
    for other in (a, c, uplink):
        assert_got(net.received(other))
    known = {mac: (entry["type"], entry["port"]) for (mac, _), entry in net.macs().items()}
    assert known[MAC_B] == ("static", b.name)


def test_unknown_unicast_goes_to_uplinks_and_learning_ports_only(net):
    sender, learner, given = net.guest("a"), net.guest("b"), net.guest("c", mac=MAC_C)
    uplink, second = net.uplink("up"), net.uplink("up2")
    unknown = frame(UNKNOWN, MAC_A)
    net.send(sender, unknown)
    for member in (learner, uplink, second):
        assert_got(net.received(member), unknown)
    for member in (sender, given):
        assert_got(net.received(member))


def test_port_with_mac_may_be_asked_to_learn(net):
    sender, both = net.guest("a"), net.guest("b", mac=MAC_B, learn=True)
    unknown = frame(UNKNOWN, MAC_A)
    net.send(sender, unknown)
    assert_got(net.received(both), unknown)


def test_learned_mac_gets_its_frames_alone(net):
    a, b, c = net.guest("a"), net.guest("b"), net.guest("c")
    uplink = net.uplink("up")
    net.send(b, frame(BROADCAST, MAC_B))
    wait_until(lambda: (MAC_B, 0) in net.macs(), "MAC_B to be learned")
    entry = net.macs()[(MAC_B, 0)]
    assert (entry["type"], entry["port"]) == ("learned", b.name)
    for member in (a, c, uplink):
        net.received(member)
    to_b = frame(MAC_B, MAC_A)
    net.send(a, to_b)
    assert_got(net.received(b), to_b)
    for member in (c, uplink):
        assert_got(net.received(member))


def test_mac_behind_an_uplink_is_learned(net):
    a, b = net.guest("a"), net.guest("b")
    uplink, second = net.uplink("up"), net.uplink("up2")
    net.send(uplink, frame(BROADCAST, MAC_D))
    wait_until(lambda: (MAC_D, 0) in net.macs(), "MAC_D to be learned")
    for member in (b, second):
        net.received(member)
    away = frame(MAC_D, MAC_A)
    net.send(a, away)
    assert_got(net.received(uplink), away)
    for member in (b, second):
        assert_got(net.received(member))


def test_learned_mac_follows_its_owner(net):
    a, b, c = net.guest("a"), net.guest("b"), net.guest("c")
    net.send(b, frame(BROADCAST, MAC_D))
    wait_until(lambda: net.macs().get((MAC_D, 0), {}).get("port") == b.name, "MAC_D at b")
    net.send(c, frame(BROADCAST, MAC_D))
    wait_until(lambda: net.macs()[(MAC_D, 0)]["port"] == c.name, "MAC_D at c")
    for member in (b, c):
        net.received(member)
    follow = frame(MAC_D, MAC_A)
    net.send(a, follow)
    assert_got(net.received(c), follow)
    assert_got(net.received(b))


def test_static_mac_is_not_stolen(net):
    a, b, thief = net.guest("a"), net.guest("b", mac=MAC_B), net.guest("thief")
    net.send(thief, frame(BROADCAST, MAC_B))
    for member in (b, thief):
        net.received(member)
    to_b = frame(MAC_B, MAC_A)
    net.send(a, to_b)
    assert_got(net.received(b), to_b)
    assert_got(net.received(thief))


@pytest.mark.parametrize("group", [BROADCAST, ALL_NODES])
def test_group_frame_reaches_all_but_its_sender(net, group):
    sender, learner, given = net.guest("a"), net.guest("b"), net.guest("c", mac=MAC_C)
    uplink = net.uplink("up")
    to_all = frame(group, MAC_A)
    net.send(sender, to_all)
    for member in (learner, given, uplink):
        assert_got(net.received(member), to_all)
    assert_got(net.received(sender))
    from_outside = frame(group, MAC_D)
    net.send(uplink, from_outside)
    for member in (sender, learner, given):
        assert_got(net.received(member), from_outside)
    assert_got(net.received(uplink))


def test_link_local_group_is_not_forwarded(net):
    sender, other = net.guest("a"), net.guest("b")
    net.send(sender, frame(LLDP, MAC_A))
    assert_got(net.received(other))
    assert net.stats(sender)["tx_dropped_by"]["no_output"] == 1


def test_frame_to_its_own_port_is_dropped(net):
    sender, other = net.guest("a"), net.guest("b")
    net.send(sender, frame(BROADCAST, MAC_A))
    wait_until(lambda: (MAC_A, 0) in net.macs(), "MAC_A to be learned")
    net.received(other)
    net.send(sender, frame(MAC_A, MAC_C))
    assert_got(net.received(sender))
    assert_got(net.received(other))
    assert net.stats(sender)["tx_dropped_by"]["no_output"] == 1


def test_bridges_are_worlds_apart(make_net):
    net, elsewhere = make_net(), make_net()
    a, b, stranger = net.guest("a"), net.guest("b"), elsewhere.guest("b")
    to_all = frame(BROADCAST, MAC_A)
    net.send(a, to_all)
    assert_got(net.received(b), to_all)
    assert_got(elsewhere.received(stranger))
    wait_until(lambda: (MAC_A, 0) in net.macs(), "MAC_A to be learned")
    assert not elsewhere.macs()


def test_learned_mac_ages(make_net):
    net = make_net(mac_age_s=1)
    a, b, c = net.guest("a"), net.guest("b"), net.guest("c")
    net.send(b, frame(BROADCAST, MAC_B))
    wait_until(lambda: (MAC_B, 0) in net.macs(), "MAC_B to be learned")
    wait_until(lambda: (MAC_B, 0) not in net.macs(), "MAC_B to be forgotten", deadline_s=5)
    net.received(c), net.received(b)
    to_b = frame(MAC_B, MAC_A)
    net.send(a, to_b)
    for member in (b, c):
        assert_got(net.received(member), to_b)


def test_learning_stops_at_the_limit_and_frames_still_flow(make_net):
    net = make_net(mac_limit=3)
    a, b = net.guest("a"), net.guest("b", mac=MAC_B)
    sent = [frame(MAC_B, f"02:00:00:00:01:{i:02x}") for i in range(10)]
    for one in sent:
        net.send(a, one)
    assert_got(net.received(b), *sent)
    wait_until(lambda: sum(e["type"] == "learned" for e in net.macs().values()) == 3, "3 MACs")
    net.send(a, sent[0])
    assert_got(net.received(b), sent[0])
    assert sum(e["type"] == "learned" for e in net.macs().values()) == 3


def test_detached_port_takes_its_macs_along(net):
    a, b = net.guest("a"), net.guest("b", mac=MAC_B)
    leaver = net.attach("leaver", mac=[MAC_C, MAC_D])
    known = {mac for mac, _ in net.macs()}
    assert {MAC_C, MAC_D} <= known
    net.sluiced.rpc("port.detach", name=leaver["name"])
    assert not {MAC_C, MAC_D} & {mac for mac, _ in net.macs()}
    net.send(b, frame(MAC_C, MAC_B))  # unknown again: flooded
    assert len(net.received(a)) == 1


def test_mac_changes_while_the_port_is_up(net):
    a, b = net.guest("a"), net.guest("b", mac=MAC_B)
    net.sluiced.rpc("port.set", name=b.name, mac=[MAC_C])
    to_c = frame(MAC_C, MAC_A)
    net.send(a, to_c)
    assert_got(net.received(b), to_c)
    net.send(a, frame(MAC_B, MAC_A))
    assert_got(net.received(b))
