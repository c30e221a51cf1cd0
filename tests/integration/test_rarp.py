# SPDX-License-Identifier: BSD-3-Clause
"""A front-end has its guest announced (SEND_RARP), as QEMU does at the end of a migration: the rest
of the bridge learns where the MAC is now."""

import struct

import pytest

from frames import BROADCAST, assert_got, frame, mac_bytes, with_tag
from net import Member
from vhostguest import VhostGuest
from vhostuser import GET_PROTOCOL_FEATURES
from wait import wait_until

SEND_RARP, PROTOCOL_RARP = 19, 1 << 2
MAC = "02:00:00:00:0a:0a"
TYPE_RARP, REQUEST_REVERSE = 0x8035, 3


def rarp(mac):
    """RFC 903: who am I, asked by a station for itself."""
    return frame(BROADCAST, mac, kind=TYPE_RARP, payload=struct.pack(
        "!HHBBH", 1, 0x0800, 6, 4, REQUEST_REVERSE) + (mac_bytes(mac) + bytes(4)) * 2 + bytes(18))


def announce(end):
    end.tell(SEND_RARP, mac_bytes(MAC) + bytes(2))


class EarlyGuest(VhostGuest):
    """Announced when it has neither memory nor rings yet, as QEMU may do with a guest that it
    restores."""

    def _start(self, size):
        announce(self)
        super()._start(size)


@pytest.fixture(params=[None, 10], ids=["untagged", "vlan"])
def vlan(request):
    return request.param


@pytest.fixture
def audience(net, vlan):
    """Guests in the VLAN on ports of both kinds, one of them a trunk; and one elsewhere."""
    access = {"vlan": vlan} if vlan else {}
    return {
        "direct": net.guest("b", **access),
        "library": net.guest("c", datapath="library", **access),
        "trunk": net.guest("d", trunks=[vlan or 0]),
        "elsewhere": net.guest("e", vlan=20),
    }


def check_announced(net, guest, vlan, audience):
    """Once, in the port's VLAN, to all that are in it; and the bridge has learned where it is."""
    guest.sent += 1  # sluiced did it in its name
    wait_until(lambda: net.counted(guest) == guest.sent, "the announcement")
    wanted = rarp(MAC)
    assert_got(net.received(audience["direct"]), wanted)
    assert_got(net.received(audience["library"]), wanted)
    assert_got(net.received(audience["trunk"]), with_tag(wanted, vlan) if vlan else wanted)
    assert_got(net.received(audience["elsewhere"]))
    assert_got(net.received(guest))
    wait_until(lambda: net.macs().get((MAC, vlan or 0), {}).get("port") == guest.name,
               f"{MAC} at {guest.name}")


@pytest.mark.parametrize("datapath", ["direct", "library"])
def test_a_running_guest_is_announced(net, vlan, audience, datapath):
    guest = net.guest("a", datapath=datapath, **({"vlan": vlan} if vlan else {}))
    assert guest.end.ask(GET_PROTOCOL_FEATURES) & PROTOCOL_RARP
    announce(guest.end)
    check_announced(net, guest, vlan, audience)
    announce(guest.end)
    check_announced(net, guest, vlan, audience)


@pytest.mark.parametrize("datapath", ["direct", "library"])
def test_a_guest_is_announced_when_its_rings_run(net, vlan, audience, datapath):
    port = net.attach("a", datapath=datapath, **({"vlan": vlan} if vlan else {}))
    guest = Member(port["name"], EarlyGuest.at(port["socket"]), vlan, False)
    net.members.append(guest)
    check_announced(net, guest, vlan, audience)


def test_an_announcement_is_checked_as_what_the_guest_sends(net):
    """A front-end may not announce what its guest may not send."""
    other = net.guest("b")
    guest = net.guest("a", mac="02:00:00:00:0a:0b")
    announce(guest.end)
    guest.sent += 1
    wait_until(lambda: net.counted(guest) == guest.sent, "the announcement")
    assert net.stats(guest)["tx_dropped_by"]["spoof"] == 1
    assert_got(net.received(other))
