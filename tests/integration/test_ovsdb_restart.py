# SPDX-License-Identifier: BSD-3-Clause
"""The database, sluiced and ovs-vswitchd come and go; what there is stays as it is meanwhile."""

import threading

import pytest

from frames import BROADCAST, frame, same
from netns import Netns, unique_name
from ovsdb import Database, Served
from sluice import Sluiced
from vhostguest import VhostGuest
from wait import wait_until

MAC_A, MAC_B = "02:00:00:00:09:0a", "02:00:00:00:09:0b"


@pytest.fixture
def own(scratch):
    """A database and a sluiced of one test's own, with a bridge."""
    database = Database(scratch())
    daemon = Sluiced(scratch(), "--ovsdb", database.target)
    served = Served(database, daemon)
    served.add_br()
    yield served
    daemon.stop()
    database.close()


@pytest.fixture
def vswitchd(own):
    """Starts ovs-vswitchd, in a namespace, as its tap device would be in the way elsewhere."""
    namespace = Netns(unique_name("v"))
    started = []

    def start():
        started.append(own.db.vswitchd(namespace))
        wait_until(lambda: own.sluiced.rpc("ovsdb.status")["vswitchd"], "vswitchd is seen")
        return started[-1]

    yield start
    for process in started:
        process.stop()
    namespace.close()


class Traffic:
    """Frames from one guest to another, one after the other, all of which must arrive."""

    def __init__(self, sender, receiver):
        self.sender, self.receiver = sender, receiver
        self.sent = self.lost = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._over.is_set():
            one = frame(BROADCAST, MAC_A)
            self.sender.send(one)
            self.sent += 1
            got = self.receiver.recv()
            self.lost += got is None or not same(got, one)

    def stop(self):
        self._over.set()
        self._thread.join()
        assert self.sent and not self.lost, (self.sent, self.lost)


def two_guests(served):
    """Of ports `a` and `b`."""
    guests = []
    for name in "ab":
        served.add_port(name)
        guests.append(VhostGuest.at(served.socket(name)))
        served.sluiced.wait_state(name, "up")
    return guests


def test_database_is_killed_and_comes_back(own):
    """Traffic never notices; what was asked meanwhile, or by a database of its own, is done afterwards."""
    guests = two_guests(own)
    traffic = Traffic(*guests)
    for round_ in range(3):
        own.db.kill()
        wait_until(lambda: not own.sluiced.rpc("ovsdb.status")["connected"], "the end is seen")
        assert own.names() == {"a", "b"}
        own.db.start()
        own.db.vsctl("--no-wait", "set", "Port", "a", "external_ids:round=%d" % round_)
        wait_until(lambda: own.sluiced.rpc("ovsdb.status")["connected"], "it is back")
        own.db.vsctl("set", "Interface", "b", f"mtu_request={1400 + round_}")
        assert own.sluiced.port("b")["mtu"] == 1400 + round_
    traffic.stop()
    for name in "ab":
        own.assert_undisturbed(name)
        assert own.db.interface(name)["link_state"] == "up"
    for guest in guests:
        guest.close()


def test_changes_while_sluiced_is_down(own):
    """They are made when it is back; before that it has its ports from its own state, without a database."""
    own.add_port("a")
    own.add_port("b")
    own.sluiced.rpc("port.set", name="b", mac=MAC_B, park_ms=99)
    own.sluiced.rpc("bridge.add", name="mine")
    own.sluiced.rpc("port.attach", name="m", bridge="mine", owner="somebody")
    own.sluiced.kill()
    own.db.vsctl("--no-wait", "del-port", "a", "--", "set", "Port", "b", "tag=9", "--", "add-port",
                 own.bridge, "c", "--", "set", "Interface", "c", "type=dpdkvhostuser")
    own.db.kill()
    own.sluiced.start()
    assert own.names() == {"a", "b", "m"}
    status = own.sluiced.rpc("ovsdb.status")
    assert (status["connected"], status["bridges"], status["ports"]) == (False, 1, 2)
    assert {port["name"]: port["owner"] for port in own.sluiced.rpc("port.list")} == {
        "a": "ovsdb", "b": "ovsdb", "m": "somebody"}
    assert own.sluiced.refusal("port.detach", name="a").text_code == "owned-by-ovsdb"
    own.db.start()
    wait_until(lambda: own.names() == {"b", "c", "m"}, "the database has its way")
    port = own.sluiced.port("b")
    assert (port["vlan"], port["mac"], port["park_ms"]) == (9, [MAC_B], 99)
    bridges = {bridge["name"]: bridge["owner"] for bridge in own.sluiced.rpc("bridge.list")}
    assert bridges == {own.bridge: "ovsdb", "mine": "rpc"}
    assert own.db.interface("b")["ofport"] == 2


def test_a_database_that_is_lost_takes_nothing_away(own):
    """An empty one, before anybody has initialised it, asks for nothing."""
    guests = two_guests(own)
    own.db.close()
    for left in own.db.directory.glob("*"):
        left.unlink()
    blank = Database(own.db.directory, blank=True)
    wait_until(lambda: own.sluiced.rpc("ovsdb.status")["connected"], "the new database is there")
    assert own.names() == {"a", "b"}
    blank.vsctl("--no-wait", "init", "--", "add-br", own.bridge, "--", "set", "Bridge", own.bridge,
                "datapath_type=sluice", "--", "add-port", own.bridge, "a", "--", "set",
                "Interface", "a", "type=dpdkvhostuser")
    wait_until(lambda: own.names() == {"a"}, "now it asks")
    own.assert_undisturbed("a")
    for guest in guests:
        guest.close()
    blank.close()


def test_initialised_and_empty_while_sluiced_was_down(own):
    """What sluiced has of its state file is what the database, once it is initialised, does not want."""
    own.add_port("a")
    own.sluiced.kill()
    own.db.close()
    for left in own.db.directory.glob("*"):
        left.unlink()
    blank = Database(own.db.directory, blank=True)
    own.sluiced.start()
    wait_until(lambda: own.sluiced.rpc("ovsdb.status")["connected"], "the new database is there")
    assert own.names() == {"a"}
    blank.vsctl("init")
    assert not own.names() and not own.sluiced.rpc("bridge.list")
    blank.close()


def test_an_older_schema(scratch):
    """It is told what it has columns for."""
    database = Database(scratch(), lacks=[("Open_vSwitch", "datapath_types"),
                                          ("Open_vSwitch", "iface_types"),
                                          ("Interface", "link_speed"), ("Bridge", "status")])
    daemon = Sluiced(scratch(), "--ovsdb", database.target)
    served = Served(database, daemon)
    database.try_vsctl("add-br", "br", "--", "set", "bridge", "br", "datapath_type=sluice",
                       "--", "add-port", "br", "a", "--", "set", "Interface", "a",
                       "type=dpdkvhostuser")
    served.wait_column("a", "link_state", "down")
    assert database.interface("a")["mtu"] == 1500
    daemon.stop()
    database.close()


def test_what_rpc_may_not_do(own):
    own.add_port("a")
    guest = VhostGuest.at(own.socket("a"))
    own.sluiced.wait_state("a", "up")
    for params in ({"vlan": 3}, {"trunks": [3]}, {"mtu": 1400}, {"rate_mbps": 3}, {"rate_kbps": 3},
                   {"rate_mbps": 9, "burst_kb": 1}, {"lcore": 1}):
        refused = own.sluiced.refusal("port.set", name="a", **params)
        assert refused.text_code == "owned-by-ovsdb" and "ovs-vsctl" in refused.message
    for method, name in (("port.detach", "a"), ("bridge.del", own.bridge)):
        assert own.sluiced.refusal(method, name=name).text_code == "owned-by-ovsdb"
    refused = own.sluiced.refusal("port.attach", name="x", bridge=own.bridge, owner="ovsdb")
    assert refused.param == "owner"
    own.sluiced.rpc("port.set", name="a", mac=MAC_A)
    taken = {MAC_A: {"path": str(own.sluiced.socket_dir), "port": "a", "mode": "client"}}
    assert own.sluiced.refusal("migration.abort", map=taken).text_code == "owned-by-ovsdb"
    # but all else
    own.sluiced.rpc("port.set", name="a", learn=False, switching="vepa", tx_retries=3,
                    park_frames=5, storm_broadcast_pps=9)
    own.sluiced.rpc("port.drain", name="a", timeout_ms=1000)
    own.sluiced.rpc("port.resume", name="a")
    own.sluiced.rpc("capture.start", port="a", file=str(own.db.directory / "a.pcapng"))
    own.sluiced.rpc("capture.stop", port="a")
    assert own.sluiced.rpc("port.stats", name="a")["name"] == "a"
    guest.close()


def test_port_of_somebody_else_on_the_bridge(own):
    """It stays, and its bridge with it, when the database deletes that."""
    own.sluiced.rpc("port.attach", name="m", bridge=own.bridge)
    own.db.vsctl("del-br", own.bridge)
    assert own.names() == {"m"}
    own.sluiced.rpc("port.detach", name="m")
    gone = own.bridge
    own.add_br()
    assert gone not in {bridge["name"] for bridge in own.sluiced.rpc("bridge.list")}


# ---- beside ovs-vswitchd

def test_beside_vswitchd(own, vswitchd):
    """Both serve their bridges; ovs-vsctl may complain, as vswitchd may answer before us, but succeeds."""
    vswitchd()
    own.db.vsctl("add-br", "brn", "--", "set", "Bridge", "brn", "datapath_type=netdev")
    done = own.db.try_vsctl("add-port", own.bridge, "a", "tag=7", "--", "set", "Interface", "a",
                            "type=dpdkvhostuser")
    assert done.returncode == 0
    wait_until(lambda: "a" in own.names() and own.db.interface("a")["ofport"] == 1, "the port")
    own.db.vsctl("add-port", "brn", "int0", "--", "set", "Interface", "int0", "type=internal")
    assert own.db.interface("int0")["ofport"] > 0
    wait_until(lambda: "sluice" in own.db.root()["datapath_types"], "types of both")
    assert {"netdev", "sluice"} <= set(own.db.root()["datapath_types"])
    own.db.vsctl("--no-wait", "del-port", "a")
    wait_until(lambda: not own.names(), "del-port")
    assert own.db.interface("int0")["ofport"] > 0


def test_vswitchd_ends_and_comes_back(own, vswitchd):
    """Who is there answers ovs-vsctl. With --no-wait nobody needs to."""
    guests = two_guests(own)
    traffic = Traffic(*guests)
    for end in ("stop", "kill"):
        getattr(vswitchd(), end)()
        own.db.vsctl("set", "Interface", "b", f"mtu_request={1300 + len(end)}", f"external_ids:e={end}")
        status = own.sluiced.rpc("ovsdb.status")
        assert not status["vswitchd"], status
    traffic.stop()
    for guest in guests:
        guest.close()


def test_both_the_database_and_vswitchd_come_back(own, vswitchd):
    """Nobody takes the lock from a vswitchd that is on its way back: it keeps its bridges."""
    daemon = vswitchd()
    own.db.vsctl("add-br", "brn", "--", "set", "Bridge", "brn", "datapath_type=netdev")
    own.db.kill()
    wait_until(lambda: not own.sluiced.rpc("ovsdb.status")["connected"], "the end is seen")
    own.db.start()
    wait_until(lambda: own.sluiced.rpc("ovsdb.status")["connected"], "sluiced is back")
    own.db.vsctl("set", "Bridge", "brn", "other_config:x=y")  # which vswitchd answers
    assert "another ovs-vswitchd process is running" not in daemon.output()
    assert own.sluiced.rpc("ovsdb.status")["vswitchd"]


# ---- lcores

def test_pmd_cpu_mask(scratch):
    """It says which CPUs forward, if nobody else does; a later change is told and waits for a restart."""
    database = Database(scratch())
    database.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=0x1")
    daemon = Sluiced(scratch(), "--ovsdb", database.target, lcores=None)
    served = Served(database, daemon)
    served.add_br()
    assert [lcore["cpu"] for lcore in daemon.rpc("lcore.list")] == [0]

    def note():
        return database.row("Bridge", served.bridge)["status"].get("sluice")

    assert note() is None
    database.vsctl("set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=0x2")
    wait_until(lambda: "restart sluiced" in (note() or ""), "the note")
    daemon.stop()
    daemon.start()
    assert [lcore["cpu"] for lcore in daemon.rpc("lcore.list")] == [1]
    wait_until(lambda: note() is None, "no note")
    daemon.stop()
    # what is nonsense, or away, keeps nobody from starting
    database.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=0x8000000000")
    daemon.start()
    assert daemon.rpc("lcore.list")
    daemon.stop()
    database.close()
    daemon.start()
    assert not daemon.rpc("ovsdb.status")["connected"]
    daemon.stop()
