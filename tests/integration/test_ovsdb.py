# SPDX-License-Identifier: BSD-3-Clause
"""The Open_vSwitch database as orchestrator: real ovsdb-server and ovs-vsctl, no ovs-vswitchd."""

import re

from frames import BROADCAST, assert_got, frame
from ovsdb import LOCAL
from vhostguest import VhostGuest, listen
from wait import wait_until

MAC_A, MAC_B = "02:00:00:00:09:0a", "02:00:00:00:09:0b"


# ---- what CloudStack and os-vif do

def test_commands_of_cloudstack(ovs):
    """Verbatim. When ovs-vsctl returns, what it asked for is there."""
    client = ovs.socket("csdpdk-2")
    with listen(client) as listener:
        listener.settimeout(10)
        ovs.db.vsctl("add-port", ovs.bridge, "csdpdk-1", "vlan_mode=access", "tag=100", "--",
                     "set", "Interface", "csdpdk-1", "type=dpdkvhostuser")
        assert ovs.socket("csdpdk-1").is_socket()
        ovs.db.vsctl("add-port", ovs.bridge, "csdpdk-2", "vlan_mode=access", "tag=100", "--",
                     "set", "Interface", "csdpdk-2", "type=dpdkvhostuserclient",
                     f"options:vhost-server-path={client}")
        guests = [VhostGuest.at(ovs.socket("csdpdk-1")), VhostGuest(listener.accept()[0])]
    for name in ("csdpdk-1", "csdpdk-2"):
        ovs.sluiced.wait_state(name, "up")
        assert ovs.sluiced.port(name)["vlan"] == 100
        ovs.wait_column(name, "link_state", "up")
    one = frame(BROADCAST, MAC_A)
    guests[0].send(one)
    assert_got([guests[1].recv()], one)
    ovs.db.vsctl("del-port", "csdpdk-1")
    assert not ovs.socket("csdpdk-1").exists()
    assert "csdpdk-1" not in ovs.names()
    assert guests[0].hung_up()
    guests[1].close()
    ovs.wait_column("csdpdk-2", "link_state", "down")
    ovs.db.vsctl("del-port", "csdpdk-2")
    for guest in guests[:1]:
        guest.close()


def test_transaction_of_os_vif(ovs):
    """One transaction with everything, as os-vif sends by its own IDL; no next_cfg in it."""
    bridge = ovs.db.row("Bridge", ovs.bridge)["_uuid"]
    ovs.db.transact(
        {"op": "insert", "table": "Interface", "uuid-name": "i",
         "row": {"name": "vhu1234abcd-56", "type": "dpdkvhostuserclient",
                 "options": ["map", [["vhost-server-path", str(ovs.socket("vhu1234abcd-56"))]]],
                 "external_ids": ["map", [["iface-id", "6f0b"], ["iface-status", "active"],
                                          ["attached-mac", MAC_A], ["vm-uuid", "77f1"]]],
                 "mtu_request": 9000}},
        {"op": "insert", "table": "Port", "uuid-name": "p",
         "row": {"name": "vhu1234abcd-56", "interfaces": ["named-uuid", "i"], "tag": 7,
                 "other_config": ["map", [["net_uuid", "88aa"], ["transient", "true"]]]}},
        {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", bridge]]],
         "mutations": [["ports", "insert", ["set", [["named-uuid", "p"]]]]]})
    wait_until(lambda: ovs.db.interface("vhu1234abcd-56")["mtu"] == 9000, "the port's row")
    row = ovs.db.interface("vhu1234abcd-56")
    assert row["error"] is None and row["ofport"] > 0 and row["admin_state"] == "up"
    assert row["external_ids"]["attached-mac"] == MAC_A
    port = ovs.sluiced.port("vhu1234abcd-56")
    assert (port["mtu"], port["vlan"], port["mode"], port["owner"]) == (9000, 7, "client", "ovsdb")


def test_500_ports_in_one_transaction(ovs):
    commands = []
    for i in range(500):
        commands += ["--", "add-port", ovs.bridge, f"many{i}", f"tag={i % 90 + 1}",
                     "--", "set", "Interface", f"many{i}", "type=dpdkvhostuserclient",
                     f"options:vhost-server-path={ovs.socket(f'many{i}')}"]
    ovs.db.vsctl(*commands[1:])
    assert len(ovs.names() & {f"many{i}" for i in range(500)}) == 500
    numbers = {row["ofport"] for row in ovs.db.rows("Interface")}
    assert numbers == {LOCAL, *range(1, 501)}
    ovs.db.vsctl("del-br", ovs.bridge)
    assert not ovs.names()
    assert ovs.bridge not in {bridge["name"] for bridge in ovs.sluiced.rpc("bridge.list")}


# ---- what the rows say of a port

def test_what_is_told_of_a_port(ovs):
    name = ovs.name()
    ovs.add_port(name, "options:n_rxq=2")
    row = ovs.db.interface(name)
    assert row["ofport"] == 1 and row["error"] is None and row["mtu"] == 1500
    assert row["admin_state"] == "up" and row["link_state"] == "down"
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", row["mac_in_use"])
    assert row["status"]["status"] == "disconnected"
    local = ovs.db.interface(ovs.bridge)
    assert local["ofport"] == LOCAL and local["error"] is None
    guests = [VhostGuest.at(ovs.socket(name), queues=2)]
    ovs.wait_column(name, "link_state", "up")
    status = ovs.db.interface(name)["status"]
    assert status["mode"] == "server" and status["status"] == "connected"
    assert status["socket"] == str(ovs.socket(name))
    assert int(status["features"], 16) and status["num_of_vrings"] == "4"
    assert status["queues"] == "2" and status["lcore"] == "1,1" and status["numa"] == "0"
    other = ovs.name()
    ovs.add_port(other)
    guests.append(VhostGuest.at(ovs.socket(other)))
    ovs.wait_column(other, "link_state", "up")
    assert ovs.db.interface(other)["ofport"] == 2
    for _ in range(3):
        guests[0].send(frame(BROADCAST, MAC_A))

    def counted(of, **counters):
        statistics = ovs.db.interface(of)["statistics"]
        return all(statistics.get(key) == value for key, value in counters.items())

    # from the switch's side
    wait_until(lambda: counted(name, rx_packets=3, rx_bytes=180, tx_packets=0), "counters")
    wait_until(lambda: counted(other, tx_packets=3, tx_bytes=180, rx_packets=0), "counters")
    for guest in guests:
        guest.close()
    ovs.wait_column(name, "link_state", "down")


def test_types_are_made_known(ovs):
    root = ovs.db.root()
    assert root["datapath_types"] == "sluice"
    assert {"dpdk", "dpdkvhostuser", "dpdkvhostuserclient"} <= set(root["iface_types"])
    assert root["cur_cfg"] == root["next_cfg"]


def test_numbers_stay_and_are_as_requested(ovs):
    first, second, third = ovs.name(), ovs.name(), ovs.name()
    ovs.add_port(first)
    ovs.add_port(second, "ofport_request=40")
    ovs.add_port(third)
    assert [ovs.db.interface(name)["ofport"] for name in (first, second, third)] == [1, 40, 2]
    ovs.db.vsctl("del-port", first)
    assert [ovs.db.interface(name)["ofport"] for name in (second, third)] == [40, 2]
    ovs.add_port(first)
    assert ovs.db.interface(first)["ofport"] == 1


# ---- settings

VLANS = [
    (["tag=0"], {"vlan": None, "trunks": [0]}),
    (["tag=4094"], {"vlan": 4094, "vlan_mode": "access"}),
    (["vlan_mode=trunk", "tag=5"], {"vlan": None, "trunks": None}),
    (["trunks=10,20"], {"vlan": None, "trunks": [10, 20], "vlan_mode": "trunk"}),
    (["tag=5", "trunks=10,20"], {"vlan": 5, "trunks": None}),
    (["vlan_mode=native-tagged", "tag=5"], {"vlan": 5, "vlan_mode": "native-tagged"}),
    (["vlan_mode=native-untagged", "tag=5", "trunks=0,10"],
     {"vlan": 5, "trunks": [5, 10], "vlan_mode": "native-untagged"}),
    (["vlan_mode=access"], {"vlan": None, "trunks": [0]}),
    ([], {"vlan": None, "trunks": None, "vlan_mode": "trunk"}),
]


def test_vlans(ovs):
    """As OVS reads tag, trunks and vlan_mode; all while the port is up."""
    name = ovs.name()
    ovs.add_port(name)
    for settings, expected in VLANS:
        ovs.db.vsctl("clear", "Port", name, "tag", "trunks", "vlan_mode", "--",
                     *(["set", "Port", name, *settings] if settings else ["list-br"]))
        port = ovs.sluiced.port(name)
        assert {key: port[key] for key in expected} == expected, settings
        assert ovs.db.interface(name)["error"] is None


def test_settings_change_while_the_port_is_up(ovs):
    name = ovs.name()
    ovs.add_port(name, "mtu_request=9000", "ingress_policing_rate=1500",
                 "other_config:pmd-rxq-affinity=0:1")
    port = ovs.sluiced.port(name)
    assert (port["mtu"], port["rate_kbps"], port["burst_kb"], port["lcore"]) == (9000, 1500, 8000, 1)
    guest = VhostGuest.at(ovs.socket(name))
    ovs.sluiced.wait_state(name, "up")
    # what the database does not speak of is RPC's, and outlives what the database changes
    ovs.sluiced.rpc("port.set", name=name, mac=MAC_A, park_ms=77)
    ovs.db.vsctl("set", "Interface", name, "ingress_policing_rate=2000000",
                 "ingress_policing_burst=16000", "mtu_request=1400")
    port = ovs.sluiced.port(name)
    assert (port["mtu"], port["rate_mbps"], port["burst_kb"]) == (1400, 2000, 16000)
    assert (port["mac"], port["park_ms"]) == ([MAC_A], 77)
    assert ovs.db.interface(name)["mtu"] == 1400
    wait_until(lambda: ovs.db.interface(name)["mac_in_use"] == MAC_A, "its MAC")
    ovs.db.vsctl("clear", "Interface", name, "mtu_request", "other_config", "--",
                 "set", "Interface", name, "ingress_policing_rate=0")
    port = ovs.sluiced.port(name)
    assert port["mtu"] == 1500 and "lcore" not in port and "rate_mbps" not in port
    ovs.assert_undisturbed(name)
    guest.close()


def test_what_cannot_change_makes_a_new_port(ovs):
    name = ovs.name()
    ovs.add_port(name)
    guest = VhostGuest.at(ovs.socket(name))
    ovs.sluiced.wait_state(name, "up")
    ovs.db.vsctl("set", "Interface", name, "options:n_rxq=4")
    assert guest.hung_up()
    guest.close()
    assert len(ovs.sluiced.port(name)["queues"]) == 4
    ovs.db.vsctl("set", "Interface", name, "type=dpdkvhostuserclient",
                 f"options:vhost-server-path={ovs.socket('elsewhere')}")
    port = ovs.sluiced.port(name)
    assert (port["mode"], port["socket"]) == ("client", str(ovs.socket("elsewhere")))
    assert not ovs.socket(name).exists()
    assert ovs.db.interface(name)["error"] is None


def test_uplink(ovs, netns):
    netns.veth("ovu0", "ovu0h")
    device = "net_af_packet_ovu0,iface=ovu0"
    ovs.db.vsctl("add-port", ovs.bridge, "dpdk0", "trunks=10,20", "--", "set", "Interface", "dpdk0",
                 "type=dpdk", f"options:dpdk-devargs=\"{device}\"", "mtu_request=1400")
    (uplink,) = ovs.sluiced.rpc("uplink.list")
    assert (uplink["devargs"], uplink["trunks"], uplink["owner"]) == (device, [10, 20], "ovsdb")
    ovs.wait_column("dpdk0", "link_state", "up")
    row = ovs.db.interface("dpdk0")
    assert row["mac_in_use"] in netns.ip("link", "show", "dev", "ovu0")
    assert row["status"]["driver_name"] == "net_af_packet" and row["mtu"] == 1400
    ovs.db.vsctl("set", "Port", "dpdk0", "trunks=30")
    assert ovs.sluiced.rpc("uplink.list")[0]["trunks"] == [30]
    refused = ovs.sluiced.refusal("uplink.del", name="dpdk0")
    assert refused.text_code == "owned-by-ovsdb"
    ovs.db.vsctl("del-port", "dpdk0")
    assert not ovs.sluiced.rpc("uplink.list")


def test_bridge_of_another_type_and_back(ovs):
    """What was told is taken back, as nobody serves it then; the numbers stay."""
    name, second = ovs.name(), ovs.name()
    ovs.add_port(name)
    ovs.add_port(second)
    ovs.db.vsctl("del-port", name, "--", "set", "Bridge", ovs.bridge, "datapath_type=netdev")
    assert not ovs.names()
    ovs.wait_column(second, "link_state", None)
    row = ovs.db.interface(second)
    assert (row["ofport"], row["status"], row["statistics"]) == (-1, {}, {})
    ovs.db.vsctl("set", "Bridge", ovs.bridge, "datapath_type=sluice")
    assert ovs.names() == {second} and ovs.db.interface(second)["ofport"] == 2
    wait_until(lambda: ovs.db.interface(second)["statistics"], "counters")
