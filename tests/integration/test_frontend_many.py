# SPDX-License-Identifier: BSD-3-Clause
"""sluice-frontend with many addresses, many tags, and many receivers: what bench/scale relies on."""

import pytest

from frontend import frontend
from wait import wait_until

BRIDGE = "many"


@pytest.fixture
def ports(sluiced):
    """Makes ports on a bridge; their socket paths. Gone afterwards."""
    sluiced.rpc("bridge.add", name=BRIDGE)

    def make(count):
        return [sluiced.rpc("port.attach", name=f"m{i}", bridge=BRIDGE)["socket"]
                for i in range(count)]

    yield make
    for port in sluiced.rpc("port.list"):
        if port["bridge"] == BRIDGE:
            sluiced.rpc("port.detach", name=port["name"])
    sluiced.rpc("bridge.del", name=BRIDGE)


def known(sluiced):
    return {(entry["mac"], entry["vlan"]) for entry in sluiced.rpc("bridge.macs", name=BRIDGE)}


# 100: each slot of the ring keeps its address; 700: frames are made anew
@pytest.mark.parametrize("macs", [100, 700])
def test_every_address_sends_and_receives(sluiced, ports, macs):
    status, report = frontend("--both", "--verify", "--macs", macs, "--rate", "20k", "--count", 5000,
                              "--memory", "plain", "--size", "imix", "--flows", 3, *ports(2))
    assert status == 0 and report["corrupt"] == report["lost"] == 0, report
    assert all(guest["rx"] == 5000 for guest in report["guests"])
    wait_until(lambda: len(known(sluiced)) == 2 * macs, "the bridge to know all addresses")


@pytest.mark.parametrize("vlans", [100, 700])
def test_every_tag_arrives_as_it_was(sluiced, ports, vlans):
    status, report = frontend("--both", "--verify", "--vlans", vlans, "--rate", "20k", "--count", 5000,
                              "--memory", "plain", "--csum", *ports(2))
    assert status == 0 and report["corrupt"] == report["lost"] == 0, report
    wait_until(lambda: {vlan for _, vlan in known(sluiced)} == set(range(1, vlans + 1)),
               "the bridge to know all VLANs")


def test_one_sends_to_all(ports):
    status, report = frontend("--to", "ff:ff:ff:ff:ff:ff", "--senders", 1, "--rate", "1k", "--count",
                              100, "--memory", "plain", *ports(4))
    assert status == 0, report
    first, *others = report["guests"]
    assert (first["tx"], [guest["tx"] for guest in others]) == (100, [0, 0, 0])
    assert all(guest["foreign"] >= 100 for guest in others), report
