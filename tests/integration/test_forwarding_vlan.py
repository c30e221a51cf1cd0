# SPDX-License-Identifier: BSD-3-Clause
"""Access ports, trunks, tags pushed and popped, and what does not cross."""

import pytest

from frames import BROADCAST, assert_got, frame, untagged, with_tag
from wait import wait_until

MAC_A, MAC_B, MAC_C, MAC_D = (f"02:00:00:00:01:0{i}" for i in "abcd")


def test_broadcast_stays_in_its_vlan(net):
    ten, also_ten = net.guest("a", vlan=10), net.guest("b", vlan=10)
    twenty, trunk20 = net.guest("c", vlan=20), net.guest("d", trunks=[20, 30])
    plain = net.guest("e", trunks=[0])
    to_all = frame(BROADCAST, MAC_A)
    net.send(ten, to_all)
    assert_got(net.received(also_ten), to_all)
    for other in (twenty, trunk20, plain):
        assert_got(net.received(other))


def test_known_unicast_does_not_cross_vlans(net):
    ten, twenty = net.guest("a", vlan=10), net.guest("b", vlan=20, mac=MAC_B)
    net.send(ten, frame(MAC_B, MAC_A))
    assert_got(net.received(twenty))
    assert net.stats(ten)["tx_dropped_by"]["no_output"] == 1


@pytest.mark.parametrize("size", [60, 1514])
def test_access_to_trunk_and_back(net, size):
    access, trunk = net.guest("a", vlan=10), net.guest("b", trunks=[10, 20])
    out = frame(BROADCAST, MAC_A, size=size)
    net.send(access, out)
    assert_got(net.received(trunk), with_tag(out, 10))
    back = frame(MAC_A, MAC_B, vlan=10, size=size)
    net.send(trunk, back)
    assert_got(net.received(access), untagged(back))


def test_one_frame_in_both_forms(net):
    """One sender, two access ports and two trunks: each gets its own form, unharmed."""
    sender = net.guest("a", vlan=10)
    access = [net.guest("b", vlan=10), net.guest("c", vlan=10)]
    trunks = [net.guest("d", trunks=[10]), net.guest("e"), net.uplink("up", trunks=[10])]
    plain = frame(BROADCAST, MAC_A, size=200)
    net.send(sender, plain)
    for member in access:
        assert_got(net.received(member), plain)
    for member in trunks:
        assert_got(net.received(member), with_tag(plain, 10))
    tagged = frame(BROADCAST, MAC_B, vlan=10, priority=5, size=200)
    net.send(trunks[0], tagged)
    for member in [sender, *access]:
        assert_got(net.received(member), untagged(tagged))
    for member in trunks[1:]:
        assert_got(net.received(member), tagged)


def test_trunk_carries_its_list_only(net):
    trunk, other = net.guest("a", trunks=[10, 20]), net.guest("b", trunks=[20, 30])
    common, foreign = frame(BROADCAST, MAC_A, vlan=20), frame(BROADCAST, MAC_A, vlan=30)
    net.send(trunk, common)
    assert_got(net.received(other), common)
    net.send(trunk, foreign)
    assert_got(net.received(other))
    assert net.stats(trunk)["tx_dropped_by"]["vlan"] == 1
    net.send(trunk, frame(BROADCAST, MAC_A))  # untagged: not in the list
    assert_got(net.received(other))
    assert net.stats(trunk)["tx_dropped_by"]["vlan"] == 2


def test_trunk_of_all_passes_tags_as_they_are(net):
    a, b = net.guest("a"), net.guest("b")
    sent = [frame(BROADCAST, MAC_A, vlan=vlan, priority=priority)
            for vlan, priority in ((1, 0), (100, 7), (4094, 3))] + [frame(BROADCAST, MAC_A)]
    for one in sent:
        net.send(a, one)
    assert_got(net.received(b), *sent)


def test_untagged_is_vlan_0_on_a_trunk(net):
    a, b, tagged_only = (net.guest("a", trunks=[0, 10]), net.guest("b", trunks=[0]),
                         net.guest("c", trunks=[10]))
    plain = frame(BROADCAST, MAC_A)
    net.send(a, plain)
    assert_got(net.received(b), plain)
    assert_got(net.received(tagged_only))


def test_reserved_vlan_id_is_dropped(net):
    a, b = net.guest("a"), net.guest("b")
    net.send(a, frame(BROADCAST, MAC_A, vlan=4095))
    assert_got(net.received(b))
    assert net.stats(a)["tx_dropped_by"]["vlan"] == 1


def test_tagged_frame_on_an_access_port_is_dropped(net):
    a, b, c = net.guest("a", vlan=10), net.guest("b", vlan=10), net.guest("c", vlan=20)
    net.send(a, frame(BROADCAST, MAC_A, vlan=20))
    for other in (b, c):
        assert_got(net.received(other))
    assert net.stats(a)["tx_dropped_by"]["vlan"] == 1


def test_priority_tag_is_an_untagged_frame(net):
    """802.1Q: a tag with VLAN 0 carries a priority and no VLAN."""
    access, same, trunk = (net.guest("a", vlan=10), net.guest("b", vlan=10),
                           net.guest("c", trunks=[10]))
    plain = frame(BROADCAST, MAC_A)
    net.send(access, with_tag(plain, 0, priority=5))
    assert_got(net.received(same), plain)
    (got,) = net.received(trunk)
    assert got[:12] == plain[:12] and got[12:14] == b"\x81\x00" and got[16:] == plain[12:]
    assert int.from_bytes(got[14:16], "big") & 0xFFF == 10


def test_same_mac_in_two_vlans(net):
    ten, twenty = net.guest("a", vlan=10), net.guest("b", vlan=20)
    trunk = net.guest("c", trunks=[10, 20])
    net.send(ten, frame(BROADCAST, MAC_D))
    net.send(twenty, frame(BROADCAST, MAC_D))
    wait_until(lambda: {(MAC_D, 10), (MAC_D, 20)} <= net.macs().keys(), "both to be learned")
    assert net.macs()[(MAC_D, 10)]["port"] == ten.name
    assert net.macs()[(MAC_D, 20)]["port"] == twenty.name
    to_ten, to_twenty = frame(MAC_D, MAC_C, vlan=10), frame(MAC_D, MAC_C, vlan=20)
    net.send(trunk, to_ten)
    net.send(trunk, to_twenty)
    assert_got(net.received(ten), untagged(to_ten))
    assert_got(net.received(twenty), untagged(to_twenty))


def test_uplink_with_an_access_vlan(net):
    guest, uplink, trunk = (net.guest("a", vlan=10), net.uplink("up", vlan=10),
                            net.uplink("up2", trunks=[10, 11]))
    plain = frame(BROADCAST, MAC_A)
    net.send(guest, plain)
    assert_got(net.received(uplink), plain)
    assert_got(net.received(trunk), with_tag(plain, 10))
    inward = frame(BROADCAST, MAC_D, vlan=10)
    net.send(trunk, inward)
    assert_got(net.received(guest), untagged(inward))
    assert_got(net.received(uplink), untagged(inward))
    other_vlan = frame(BROADCAST, MAC_D, vlan=11)
    net.send(trunk, other_vlan)
    assert_got(net.received(guest))
    assert_got(net.received(uplink))


NATIVE = {"tagged": {"vlan_mode": "native-tagged", "vlan": 10},
          "untagged": {"vlan_mode": "native-untagged", "vlan": 10}}
ON_BOTH_PATHS = pytest.mark.parametrize("datapath", ["direct", "library"])


@ON_BOTH_PATHS
@pytest.mark.parametrize("size", [60, 1514])
def test_untagged_frames_of_a_native_port_are_in_its_vlan(net, datapath, size):
    tagged, untag = (net.guest(name, trunks=[20], datapath=datapath, **mode)
                     for name, mode in NATIVE.items())
    access, other, trunk = net.guest("a", vlan=10), net.guest("b", vlan=20), net.uplink("up")
    for sender, receiver, form in ((tagged, untag, lambda each: each),
                                   (untag, tagged, lambda each: with_tag(each, 10))):
        out = frame(BROADCAST, MAC_A, size=size)
        net.send(sender, out)
        assert_got(net.received(receiver), form(out))
        assert_got(net.received(access), out)
        assert_got(net.received(trunk), with_tag(out, 10))
    assert_got(net.received(other))


@ON_BOTH_PATHS
def test_what_leaves_a_native_port(net, datapath):
    """The native VLAN in the port's form, the others with tags, VLAN 0 not at all."""
    tagged, untag = (net.guest(name, trunks=[20], datapath=datapath, **mode)
                     for name, mode in NATIVE.items())
    trunk, plain = net.guest("a"), net.guest("b", trunks=[0])
    sent = [frame(BROADCAST, MAC_A, vlan=vlan, size=size) for size in (60, 1514)
            for vlan in (10, 20, 10, 30)] + [frame(BROADCAST, MAC_A)]
    for each in sent:
        net.send(trunk, each)
    carried = [each for i, each in enumerate(sent[:8]) if i % 4 != 3]
    assert_got(net.received(tagged), *carried)
    assert_got(net.received(untag), *(each if i % 3 == 1 else untagged(each)
                                      for i, each in enumerate(carried)))
    assert_got(net.received(plain), sent[-1])
    for port in (tagged, untag):
        net.send(port, frame(BROADCAST, MAC_B, vlan=30))
        assert net.stats(port)["tx_dropped_by"]["vlan"] == 1


def test_an_uplink_with_a_native_vlan(net):
    """As the port of a switch that a host is on: management untagged, guests with tags."""
    uplink = net.uplink("up", **NATIVE["untagged"])
    ten, twenty = net.guest("a", vlan=10), net.guest("b", vlan=20)
    inward, tagged = frame(BROADCAST, MAC_D), frame(BROADCAST, MAC_D, vlan=20)
    net.send(uplink, inward)
    net.send(uplink, tagged)
    assert_got(net.received(ten), inward)
    assert_got(net.received(twenty), untagged(tagged))
    for guest, form in ((ten, lambda each: each), (twenty, lambda each: with_tag(each, 20))):
        out = frame(MAC_D, MAC_A)
        net.send(guest, out)
        assert_got(net.received(uplink), form(out))


def test_a_second_tag_does_not_come_to_light_behind_a_native_one(net):
    """Or a guest could send into VLANs that it has not, by way of the next switch."""
    uplink, guest = net.uplink("up", **NATIVE["untagged"]), net.guest("a", trunks=[10])
    net.send(guest, with_tag(with_tag(frame(BROADCAST, MAC_A), 20), 10))
    assert_got(net.received(uplink))
    assert net.stats(guest)["tx_dropped_by"]["no_output"] == 0  # the beacon has got it


def test_modes_are_told_and_changed(net):
    port = net.guest("a")
    assert net.sluiced.port(port.name)["vlan_mode"] == "trunk"
    net.sluiced.rpc("port.set", name=port.name, vlan=10, trunks=[20], vlan_mode="native-untagged")
    port.vlan = 10
    told = net.sluiced.port(port.name)
    assert (told["vlan_mode"], told["vlan"], told["trunks"]) == ("native-untagged", 10, [20])
    text = net.sluiced.ctl("port", "get", port.name).stdout
    assert "10 native, trunk 20 (native-untagged: " in text
    other = net.guest("b", vlan=10)
    out = frame(BROADCAST, MAC_B)
    net.send(other, out)
    assert_got(net.received(port), out)
    refused = net.sluiced.refusal("port.set", name=port.name, vlan_mode="native-tagged")
    assert refused.param == "vlan_mode" and "needs a vlan" in refused.message
    net.sluiced.rpc("port.set", name=port.name, vlan=10)
    assert net.sluiced.port(port.name)["vlan_mode"] == "access"
    net.sluiced.rpc("port.set", name=port.name, vlan_mode="trunk")
    assert net.sluiced.port(port.name)["vlan"] is None


def test_vlan_changes_while_the_port_is_up(net):
    a, b = net.guest("a", vlan=10), net.guest("b", vlan=20)
    net.send(a, frame(BROADCAST, MAC_A))
    assert_got(net.received(b))
    net.sluiced.rpc("port.set", name=b.name, vlan=10)
    b.vlan = 10
    now = frame(BROADCAST, MAC_A)
    net.send(a, now)
    assert_got(net.received(b), now)
    net.sluiced.rpc("port.set", name=b.name, trunks=[10, 11])  # from access to trunk
    net.send(a, now)
    assert_got(net.received(b), with_tag(now, 10))
    assert net.sluiced.port(b.name)["vlan"] in (None, 0)
