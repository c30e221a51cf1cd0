# SPDX-License-Identifier: BSD-3-Clause
"""What a database must not have its way with: settings that sluice cannot do, and hostile rows."""

import json
import re

import pytest

from frames import BROADCAST, assert_got, frame
from ovsdb import Database, Served
from sluice import Sluiced
from vhostguest import VhostGuest
from wait import wait_until

MAC_A = "02:00:00:00:09:0a"

# (table, settings), words of the sentence
REFUSED = [
    (("Interface", "type=vxlan"), "type vxlan"),
    (("Interface", "type=system"), "type"),
    (("Interface", "type=patch", "options:peer=x"), "type patch"),
    (("Interface", "type=dpdkvhostuserclient"), "vhost-server-path"),
    (("Interface", "type=dpdkvhostuserclient", "options:vhost-server-path=/nowhere/x"), "/nowhere"),
    (("Interface", "type=dpdk"), "dpdk-devargs"),
    (("Interface", "options:n_rxq=17"), "options:n_rxq"),
    (("Interface", "options:n_rxq=-1"), "options:n_rxq"),
    (("Interface", "options:n_rxq=999999999999999999999"), "options:n_rxq"),
    (("Interface", "options:dq-zero-copy=true"), "options:dq-zero-copy"),
    (("Interface", "options:tx-retries-max=3"), "tx_retries"),
    (("Interface", "other_config:lacp-port-id=1"), "other_config:lacp-port-id"),
    (("Interface", "other_config:pmd-rxq-affinity=0:77"), "CPU 77"),
    (("Interface", "other_config:pmd-rxq-affinity=3:1"), "options:n_rxq=4"),
    (("Interface", "other_config:pmd-rxq-affinity=yes"), "pmd-rxq-affinity"),
    (("Interface", "mtu_request=9703"), "mtu_request"),
    (("Interface", "mtu_request=1"), "mtu_request"),
    (("Interface", "ingress_policing_rate=4294967296"), "ingress_policing_rate"),
    (("Interface", "ingress_policing_rate=9", "ingress_policing_burst=4294967296"),
     "ingress_policing_burst"),
    (("Interface", "ingress_policing_kpkts_rate=5"), "ingress_policing_kpkts_rate"),
    (("Interface", "bfd:enable=true"), "bfd"),
    (("Interface", "cfm_mpid=1"), "cfm_mpid"),
    (("Port", "tag=4095"), "tag"),
    (("Port", "trunks=1,4095"), "trunks"),
    (("Port", "vlan_mode=dot1q-tunnel", "tag=3"), "dot1q-tunnel"),
    (("Port", "lacp=active"), "lacp"),
    (("Port", "protected=true"), "protected"),
    (("Port", "other_config:priority-tags=always"), "priority-tags"),
]


def assert_sentence(error, words):
    assert words in error and len(error) < 512 and not re.search(r"[\x00-\x1f]", error), error


@pytest.fixture(scope="module")
def crowd(served):
    """A Port for each of REFUSED, a good one between them, all in one transaction."""
    served.add_br()
    commands = []
    for i, ((table, *settings), _) in enumerate(REFUSED):
        name = f"bad{i}"
        commands += ["--", "add-port", served.bridge, name, "--", "set", "Interface", name,
                     "type=dpdkvhostuser", "--", "set", table, name, *settings]
    commands += ["--", "add-port", served.bridge, "good", "--", "set", "Interface", "good",
                 "type=dpdkvhostuser"]
    bridge = served.bridge
    done = served.db.try_vsctl(*commands[1:])
    assert done.returncode == 0
    yield served, done.stderr
    served.db.vsctl("del-br", bridge)


@pytest.mark.parametrize("i", range(len(REFUSED)), ids=lambda i: " ".join(REFUSED[i][0][1:])[:40])
def test_what_cannot_be_done_is_told(crowd, i):
    """In the row, to the person who ran ovs-vsctl, and in sluicectl ovsdb status."""
    served, stderr = crowd
    row = served.db.interface(f"bad{i}")
    assert row["ofport"] == -1 and row["link_state"] is None and row["status"] == {}
    assert_sentence(row["error"], REFUSED[i][1])
    assert row["error"] in stderr
    errors = {error["interface"]: error["error"]
              for error in served.sluiced.rpc("ovsdb.status")["errors"]}
    assert errors[f"bad{i}"] == row["error"]
    assert f"bad{i}" not in served.names()


def test_bad_rows_stop_no_others(crowd):
    served, stderr = crowd
    assert served.db.interface("good")["ofport"] > 0
    assert "good" in served.names() and "'good'" not in stderr
    assert "bad3" in served.sluiced.ctl("ovsdb", "status").stdout


def test_qos_and_bonds(ovs):
    a, b = ovs.name(), ovs.name()
    ovs.db.try_vsctl("add-bond", ovs.bridge, "bond0", a, b, "--", "set", "Interface", a,
                     "type=dpdkvhostuser", "--", "set", "Interface", b, "type=dpdkvhostuser")
    for name in (a, b):
        assert_sentence(ovs.error(name), "bond")
    c = ovs.name()
    ovs.add_port(c)
    ovs.db.vsctl("set", "Port", c, "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb")
    assert_sentence(ovs.error(c), "qos")
    assert c in ovs.names()  # it was there before
    ovs.db.vsctl("clear", "Port", c, "qos")
    assert ovs.db.interface(c)["error"] is None


def test_settings_of_a_bridge(ovs):
    """They have no error column: the bridge's status says it, and so does its own Interface."""
    ovs.db.vsctl("set-controller", ovs.bridge, "tcp:127.0.0.1:6653")
    wait_until(lambda: "controller" in ovs.db.row("Bridge", ovs.bridge)["status"].get("sluice", ""),
               "status of the bridge")
    assert_sentence(ovs.error(ovs.bridge), "controller")
    ovs.db.vsctl("del-controller", ovs.bridge)
    assert ovs.db.row("Bridge", ovs.bridge)["status"] == {}
    assert ovs.db.interface(ovs.bridge)["error"] is None


def test_a_slip_does_not_take_a_guest_its_port(ovs):
    name = ovs.name()
    ovs.add_port(name)
    ovs.db.vsctl("set", "Port", name, "tag=5")
    guest = VhostGuest.at(ovs.socket(name))
    ovs.sluiced.wait_state(name, "up")
    for table, setting in (("Interface", "options:foo=bar"), ("Interface", "mtu_request=9999"),
                           ("Port", "tag=4095")):
        ovs.db.vsctl("set", table, name, setting)
        ovs.error(name)
        assert ovs.db.interface(name)["ofport"] == 1
        assert ovs.sluiced.port(name)["vlan"] == 5
    ovs.db.vsctl("remove", "Interface", name, "options", "foo", "--", "clear", "Interface", name,
                 "mtu_request", "--", "set", "Port", name, "tag=6")
    assert ovs.db.interface(name)["error"] is None
    assert ovs.sluiced.port(name)["vlan"] == 6
    ovs.assert_undisturbed(name)
    # but no more a port of ours is none
    ovs.db.vsctl("set", "Interface", name, "type=system")
    assert guest.hung_up() and name not in ovs.names()
    assert ovs.db.interface(name)["ofport"] == -1
    guest.close()


def test_names_that_rpc_has(ovs):
    name = ovs.name()
    ovs.sluiced.rpc("bridge.add", name="mine")
    ovs.sluiced.rpc("port.attach", name=name, bridge="mine")
    done = ovs.db.try_vsctl("add-port", ovs.bridge, name, "--", "set", "Interface", name,
                            "type=dpdkvhostuser")
    assert f"sluicectl port detach {name}" in done.stderr
    assert ovs.sluiced.port(name)["owner"] == "rpc"
    done = ovs.db.try_vsctl("add-br", "mine", "--", "set", "Bridge", "mine", "datapath_type=sluice")
    assert "sluicectl bridge del mine" in done.stderr
    ovs.db.vsctl("del-br", "mine")
    ovs.sluiced.rpc("port.detach", name=name)
    ovs.sluiced.rpc("bridge.del", name="mine")
    ovs.db.vsctl("set", "Interface", name, "external_ids:try=again", "mtu_request=1500")
    ovs.db.vsctl("set", "Interface", name, "mtu_request=1400")
    assert ovs.sluiced.port(name)["owner"] == "ovsdb"
    assert ovs.db.interface(name)["error"] is None


# ---- rows that no ovs-vsctl would write, in a database that checks nothing

HOSTILE = [
    ({"name": "n" * 10240}, "name"),
    ({"name": "../../etc/passwd"}, "name"),
    ({"name": "a/b"}, "name"),
    ({"name": "line\nend"}, "name"),
    ({"name": ""}, "name"),
    ({"name": "\u0085\u202e\u20ac"}, "name"),
    ({"name": "h1", "port": {"tag": 70000}}, "tag"),
    ({"name": "h2", "port": {"tag": -1}}, "tag"),
    ({"name": "h3", "port": {"trunks": ["set", [5, 5000]]}}, "trunks"),
    ({"name": "h4", "port": {"trunks": ["set", [-5]]}}, "trunks"),
    ({"name": "h5", "port": {"vlan_mode": "sideways"}}, "vlan_mode"),
    ({"name": "h6", "mtu_request": -(1 << 62)}, "mtu_request"),
    ({"name": "h7", "ingress_policing_rate": -1}, "ingress_policing_rate"),
    ({"name": "h8", "options": ["map", [["n_rxq", "2 "]]]}, "n_rxq"),
    ({"name": "h9", "options": ["map", [["x\ny" * 4000, "z"]]]}, "options"),
    ({"name": "h10", "type": "t\u0007" * 5000}, "type"),
    ({"name": "h11", "type": "dpdkvhostuserclient",
      "options": ["map", [["vhost-server-path", "@SOCKETS@/../../etc/x"]]]}, ".."),
    ({"name": "h12", "type": "dpdkvhostuserclient",
      "options": ["map", [["vhost-server-path", "/" + "d" * 10000]]]}, "vhost-server-path"),
    ({"name": "h13", "type": "dpdkvhostuserclient",
      "options": ["map", [["vhost-server-path", "@SOCKETS@/a\tb"]]]}, "control"),
    ({"name": "h14", "type": "dpdk", "options": ["map", [["dpdk-devargs", "d" * 9999]]]},
     "dpdk-devargs"),
    ({"name": "h15", "other_config": ["map", [["pmd-rxq-affinity", "0:1," * 9999 + "x"]]]},
     "pmd-rxq-affinity"),
    ({"name": "h16", "other_config": ["map", [["pmd-rxq-affinity", "0:18446744073709551615"]]]},
     "pmd-rxq-affinity"),
    ({"name": "twice"}, "twice"),
]


@pytest.fixture(scope="module")
def hostile(scratch):
    database = Database(scratch(), lax=True)
    daemon = Sluiced(scratch(), "--ovsdb", database.target)
    served = Served(database, daemon)
    served.add_br()
    served.add_port("before")
    guest = VhostGuest.at(served.socket("before"))
    daemon.wait_state("before", "up")
    database.insert_port(served.bridge, "twice", type="dpdkvhostuser")
    for row, _ in HOSTILE:
        row = json.loads(json.dumps({"type": "dpdkvhostuser", **row}).replace(
            "@SOCKETS@", str(daemon.socket_dir)))
        database.insert_port(served.bridge, **row)
    yield served, guest
    guest.close()
    assert daemon.stop() == 0
    database.close()


@pytest.mark.parametrize("i", range(len(HOSTILE)), ids=lambda i: HOSTILE[i][0]["name"][:10] or "-")
def test_hostile_rows(hostile, i):
    served, _ = hostile
    row, words = HOSTILE[i]

    def refused():
        return [error for error in (found["error"] for found in served.db.rows(
            "Interface", ["name", "==", row["name"]])) if error]

    (error,) = wait_until(refused, f"the sentence of row {i}")
    assert_sentence(error, words)


def test_hostile_rows_harm_nobody(hostile):
    served, guest = hostile
    assert served.names() == {"before", "twice"}
    served.assert_undisturbed("before")
    served.db.insert_port(served.bridge, "after", type="dpdkvhostuser")
    wait_until(lambda: "after" in served.names(), "a port")
    other = VhostGuest.at(served.socket("after"))
    served.sluiced.wait_state("after", "up")
    one = frame(BROADCAST, MAC_A)
    guest.send(one)
    assert_got([other.recv()], one)
    other.close()
    assert served.sluiced.ctl("ovsdb", "status").returncode == 0
