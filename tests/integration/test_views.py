# SPDX-License-Identifier: BSD-3-Clause
"""What the reading methods show, with the contract's field names; and the events."""

import os

import pytest

from frames import BROADCAST, assert_got, frame
from net import BEACON_MAC
from rpc import Connection
from testpmd import Testpmd
from vhostguest import (CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4, PLAIN, RING_SIZE,
                        VhostGuest)

RX_REASONS = {"ring_full", "queue_off", "no_guest", "park_full", "park_expired", "mtu", "offload"}
TX_REASONS = {"bad_frame", "bad_ring", "vlan", "spoof", "rate", "storm", "mtu", "no_mbuf",
              "no_output"}
COUNTERS = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_dropped", "tx_dropped",
            "rx_dropped_by", "tx_dropped_by", "parked", "unparked", "redirected", "reconnects"}


def test_version(sluiced):
    version = sluiced.rpc("daemon.version")
    assert version["name"] == "sluice" and version["pid"] == sluiced.process.pid
    assert "22.11" in version["dpdk"] and version["version"] and version["uptime_s"] >= 0


def test_port_fields(net):
    guest = net.guest("a", vlan=7, mac="02:00:00:00:05:0a", queues=2)
    port = net.sluiced.port(guest.name)
    assert {"name", "bridge", "mode", "socket", "state", "mac", "vlan", "queues", "node",
            "features", "owner", "connected_s", "stats"} <= port.keys()
    assert (port["bridge"], port["mode"], port["state"]) == (net.bridge, "server", "up")
    assert (port["vlan"], port["mac"]) == (7, ["02:00:00:00:05:0a"])
    assert [queue["queue"] for queue in port["queues"]] == [0, 1]
    for queue in port["queues"]:
        assert {"queue", "lcore", "node", "enabled"} <= queue.keys() and queue["enabled"]
    assert 0 <= port["connected_s"] < 60


def test_stats_have_every_reason(net):
    guest = net.guest("a")
    stats = net.stats(guest)
    assert COUNTERS <= stats.keys()
    assert stats["rx_dropped_by"].keys() == RX_REASONS
    assert stats["tx_dropped_by"].keys() == TX_REASONS
    one = net.sluiced.rpc("port.stats", name=guest.name)
    assert guest.name in str(one)
    every = net.sluiced.rpc("port.stats")
    assert guest.name in str(every) and net.beacon.name in str(every)


def test_waiting_port(net):
    port = net.attach("w")
    assert port["state"] == "waiting"
    assert not any(queue["enabled"] for queue in port["queues"])


def test_lcores(sluiced):
    (lcore,) = sluiced.rpc("lcore.list")
    assert lcore["cpu"] == 1 and lcore["idle"] == "sleep"
    assert {"lcore", "node", "queues", "busy_percent", "cycles_per_packet"} <= lcore.keys()
    assert 0 <= lcore["busy_percent"] <= 100


def test_numa(sluiced):
    text = str(sluiced.rpc("numa.show"))
    for word in ("cpus", "hugepages", "ports"):
        assert word in text, text


def test_capabilities(sluiced):
    capabilities = sluiced.rpc("host.capabilities")
    assert "dpdk" in capabilities["capabilities"]
    assert sorted(capabilities["vhost_modes"]) == ["client", "server"]
    assert capabilities["max_queues"] >= 1 and capabilities["version"]
    assert "features" in capabilities


def test_multiqueue(net):
    """Each queue pair carries frames both ways; the port's counters are their sum."""
    a, b = net.guest("a", queues=4, mac="02:00:00:00:05:0a"), net.guest("b", queues=2)
    assert a.end.queues_max == 4 and b.end.queues_max == 2
    sent = [frame(BROADCAST, "02:00:00:00:05:0a") for _ in range(8)]
    for i, one in enumerate(sent):
        net.send(a, one, queue=i % 4)
    assert sorted(net.received(b)) == sorted(sent)
    assert net.stats(a)["tx_packets"] == 8
    port = net.sluiced.rpc("port.stats", name=a.name)
    queues = port["queues"] if isinstance(port, dict) else port[0]["queues"]
    assert [queue["tx_packets"] for queue in queues] == [2, 2, 2, 2]


def test_offered_features(net):
    guest = net.guest("a", features=PLAIN | CSUM | GUEST_CSUM | HOST_TSO4 | GUEST_TSO4)
    offered = {name: bool(guest.end.offered >> bit & 1) for name, bit in {
        "mrg_rxbuf": 15, "mq": 22, "indirect": 28, "event_idx": 29, "version_1": 32, "packed": 34,
        "in_order": 35, "log_all": 26, "iommu": 33}.items()}
    assert offered == dict.fromkeys(offered, True) | {"iommu": False}


@pytest.fixture
def subscription(sluiced):
    with Connection(sluiced.control) as connection:
        connection.call("events.subscribe")
        yield connection


def test_guest_that_comes_and_goes_is_an_event(net, subscription):
    guest = net.guest("a")
    up = subscription.next_event(lambda event: event["port"] == guest.name)
    assert up["type"] == "port.up" and up["seq"] >= 0 and up["time_ns"] > 1e18
    guest.end.peer.close()
    down = subscription.next_event(lambda event: event["port"] == guest.name)
    assert down["type"] == "port.down" and down["seq"] > up["seq"]
    parking = subscription.next_event(lambda event: event["port"] == guest.name)
    assert parking["type"] == "port.parking"
    old = guest.end
    guest.end = VhostGuest.at(net.sluiced.port(guest.name)["socket"])
    again = subscription.next_event(lambda event: event["port"] == guest.name)
    assert again["type"] in ("port.up", "port.reconnected")
    old.close()
    net.sluiced.wait_state(guest.name, "up")
    net.members.remove(guest)  # its books were opened anew
    guest.end.close()


def test_detached_port_is_down_once(sluiced, subscription):
    """Also where the next port gets its id at once."""
    sluiced.rpc("bridge.add", name="down")
    for name in ("one", "other"):
        guest = VhostGuest.at(sluiced.rpc("port.attach", name=name, bridge="down")["socket"])
        assert subscription.next_event(lambda event: event["port"])["type"] == "port.up"
        sluiced.rpc("port.detach", name=name)
        down = subscription.next_event(lambda event: event["port"])
        assert (down["type"], down["port"]) == ("port.down", name)
        guest.close()
    sluiced.rpc("bridge.del", name="down")


def test_subscription_to_some_types(net, sluiced):
    with Connection(sluiced.control) as connection:
        connection.call("events.subscribe", types=["port.down"])
        guest = net.guest("a")
        net.members.remove(guest)
        guest.end.close()
        assert connection.next_event()["type"] == "port.down"


@pytest.mark.parametrize("direction,vring", [("to_guest", 0), ("from_guest", 1)])
def test_ring_that_the_guest_broke(make_net, subscription, direction, vring):
    """It is told, shown, and over when the guest comes anew."""
    net = make_net()
    guest = net.guest("a")
    ring = guest.end.vrings[vring]
    available = (ring.base + 4096 + 2) // 2
    ring.words[available] = (ring.words[available] + RING_SIZE + 1) & 0xFFFF  # more than there are
    net.send(net.beacon, frame(BROADCAST, BEACON_MAC))  # somebody looks at the ring to the guest
    event = subscription.next_event(lambda event: event["type"] == "port.ring_stopped")
    assert (event["port"], event["queue"], event["direction"]) == (guest.name, 0, direction)
    (queue,) = net.sluiced.port(guest.name)["queues"]
    assert queue[f"stopped_{direction}"] == event["reason"] and event["reason"]
    assert len([key for key in queue if key.startswith("stopped_")]) == 1
    for command in (["list"], ["get", guest.name]):
        text = net.sluiced.ctl("port", *command).stdout
        assert "STOPPED" in text and event["reason"] in text
    guest.end.close()
    net.sluiced.wait_state(guest.name, "waiting")
    guest.end = VhostGuest.at(net.sluiced.port(guest.name)["socket"])
    net.sluiced.wait_state(guest.name, "up")
    (queue,) = net.sluiced.port(guest.name)["queues"]
    assert not [key for key in queue if key.startswith("stopped_")]
    sent = frame(BROADCAST, BEACON_MAC)
    net.send(net.beacon, sent)
    assert_got([guest.recv()], sent)
    guest.end.send(frame(BROADCAST, "02:00:00:00:05:0a"))
    assert net.beacon.recv()


def test_full_mac_table_is_an_event(make_net, subscription):
    net = make_net(mac_limit=2)
    guest = net.guest("a")
    for i in range(4):
        net.send(guest, frame(BROADCAST, f"02:00:00:00:06:{i:02x}"))
    event = subscription.next_event(lambda event: event["type"] == "mac.limit")
    assert net.bridge in str(event)


def test_trunk_into_another_switch(make_net, subscription, directory):
    """A virtio-user uplink, as into OVS-DPDK: its frames come back from a testpmd in io mode
    (one port, paired with itself), and its end is an event."""
    net, path = make_net(), directory / "trunk"
    other = Testpmd(directory, vdevs=[f"net_vhost0,iface={path}"])
    try:
        other.start()
        net.sluiced.rpc("uplink.add", name="trunk", bridge=net.bridge,
                        devargs=f"net_virtio_user0,path={path},queues=1")
        event = subscription.next_event(lambda event: event["type"] == "uplink.up")
        assert event["port"] == "trunk"
        guest = net.guest("a")
        sent = frame(BROADCAST, "02:00:00:00:05:0a")
        net.send(guest, sent)
        assert_got([guest.recv()], sent)
    finally:
        other.close()
    event = subscription.next_event(lambda event: event["type"] == "uplink.down")
    assert event["port"] == "trunk"
    net.sluiced.rpc("uplink.del", name="trunk")


def test_link_of_an_uplink_is_an_event(net, netns, subscription):
    net.sluiced.rpc("uplink.add", name="tap", bridge=net.bridge, devargs="net_tap9,iface=sltap9")
    try:
        for state in ("up", "down", "up"):
            netns.ip("link", "set", "sltap9", state)
            event = subscription.next_event(lambda event: event["type"] == f"uplink.{state}")
            assert event["port"] == "tap"
    finally:
        net.sluiced.rpc("uplink.del", name="tap")


def test_no_descriptor_leaks_from_ports(sluiced):
    """Attached, connected, detached: fifty times."""

    def round_trip():
        path = sluiced.rpc("port.attach", name="p", bridge="leak")["socket"]
        guest = VhostGuest.at(path)
        sluiced.wait_state("p", "up")
        sluiced.rpc("port.detach", name="p")
        guest.close()

    def fds():
        return len(os.listdir(f"/proc/{sluiced.process.pid}/fd"))

    sluiced.rpc("bridge.add", name="leak")
    round_trip()
    before = fds()
    for _ in range(50):
        round_trip()
    assert fds() <= before + 2
    sluiced.rpc("bridge.del", name="leak")
