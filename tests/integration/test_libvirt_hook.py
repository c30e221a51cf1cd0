# SPDX-License-Identifier: BSD-3-Clause
"""The libvirt hook by itself: what libvirt 9.0 gave it, recorded, and what nobody should give it."""

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from libvirt import HOOK, Nic, domain_xml, metadata
from sluice import Sluiced
from vhostguest import VhostGuest
from wait import wait_until

HERE = Path(__file__).parent
MACS = [f"52:54:00:00:00:{number:02x}" for number in range(1, 100)]
IDENTITY = "6f0ad7f5-6c4b-4b1c-bd18-ae13a8070af9"  # of the recorded domain
OWNER = f"libvirt:{IDENTITY}"
ATTACHING = ("prepare", "migrate")
DEADLINE_S = 20
SILENT_TURNS = ("start", "started", "stopped", "reconnect", "restore", "attach")


def recorded(turn, sockets):
    """What libvirt 9.0.0 of Debian 12 gave a hook, for a domain with an interface of each mode. At migrate
    it is as at prepare."""
    text = (HERE / f"libvirt-9.0-{turn}.xml").read_text("utf-8")
    return text.replace("@SOCKETS@", str(sockets))


def run(control, turn, xml, name="vm"):
    """Runs the hook as libvirt does. It never says anything where libvirt expects another domain, and if
    it complains it does so in one line that is fit to be seen."""
    done = subprocess.run([HOOK, "-s", str(control), "--", name, turn, "begin", "-"],
                          input=xml if isinstance(xml, bytes) else xml.encode(),
                          capture_output=True, timeout=DEADLINE_S)
    assert done.stdout == b""
    complaint = done.stderr.decode()
    assert bool(complaint) == (done.returncode != 0)
    if complaint:
        assert done.returncode == 1
        assert complaint.startswith("sluice: ") and complaint.endswith("\n")
        assert complaint[:-1].isprintable() and len(complaint) < 2000
    return done.returncode, complaint


class Bench:
    """A sluiced, and the hook."""

    def __init__(self, directory):
        self.sluiced = Sluiced(directory)
        self.sockets = self.sluiced.socket_dir
        for bridge in ("br0", "br1"):
            self.sluiced.rpc("bridge.add", name=bridge)

    def run(self, turn, xml, **options):
        return run(self.sluiced.control, turn, xml, **options)

    def accepts(self, turn, xml):
        assert self.run(turn, xml) == (0, "")

    def refuses(self, turn, xml, *words):
        """The hook refuses with these words, and nothing has changed."""
        before = self.sluiced.state()
        status, complaint = self.run(turn, xml)
        assert status == 1
        for word in words:
            assert word in complaint, complaint
        assert self.sluiced.state() == before

    def recorded(self, turn="prepare"):
        return recorded(turn, self.sockets)

    def domain(self, *nics, **options):
        return domain_xml("vm", nics, identity=IDENTITY, **options)

    def nic(self, number=0, name=None, mode="client", queues=None, mtu=None, **port):
        return Nic(MACS[number], str(self.sockets / (name or f"vm{number}")), mode,
                   {"bridge": "br0", **port}, queues, mtu)

    def states(self):
        return {port["name"]: port["state"] for port in self.sluiced.rpc("port.list")}

    def clean(self):
        for name in self.states():
            self.sluiced.rpc("port.detach", name=name)


@pytest.fixture(scope="module")
def daemon(scratch):
    bench = Bench(scratch())
    yield bench
    assert bench.sluiced.stop() == 0


@pytest.fixture
def bench(daemon):
    yield daemon
    daemon.clean()
    assert not list(daemon.sockets.iterdir())


class Mute:
    """Hooks that wait for somebody who never speaks; they are given up by themselves, while other tests
    run."""

    def __init__(self, directory):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / "mute"))
        self.listener.listen()
        self.xml = recorded("prepare", directory).encode()
        self.hooks = {turn: self._start(directory / "mute", turn) for turn in (*ATTACHING, "release")}
        for hook in self.hooks.values():
            hook.stdin.write(self.xml)
            hook.stdin.close()
        self.hooks["an input without end"] = self._start(directory / "mute", "prepare")

    def _start(self, control, turn):
        return subprocess.Popen([HOOK, "-s", str(control), "vm", turn], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def close(self):
        self.listener.close()
        for hook in self.hooks.values():
            hook.kill()
            hook.wait()
            hook.stderr.close()


@pytest.fixture(scope="module", autouse=True)
def mute(scratch):
    hooks = Mute(scratch())
    yield hooks
    hooks.close()


def test_a_recorded_life(bench):
    for turn in ("prepare", "start", "started"):
        bench.accepts(turn, bench.recorded())
        assert bench.states() == {"vm1": "waiting", "vm2": "waiting"}
    ports = bench.sluiced.rpc("port.list")
    assert [(port["mode"], port["bridge"], port["vlan"], port["mac"], port["owner"],
             port["socket"]) for port in ports] == [
        ("server", "br0", 7, [MACS[0]], OWNER, str(bench.sockets / "vm1")),
        ("client", "br0", None, [MACS[1]], OWNER, str(bench.sockets / "vm2"))]
    for turn in ("stopped", "release"):
        assert bench.states()
        bench.accepts(turn, bench.recorded("release"))
    assert not bench.states()


def test_a_recorded_arrival_is_silent_until_the_guest_runs(bench):
    for turn in ("migrate", "prepare", "start", "started"):
        bench.accepts(turn, bench.recorded())
        assert bench.states() == {"vm1": "incoming", "vm2": "incoming"}
    bench.accepts("release", bench.recorded("release"))
    assert not bench.states()


def test_a_port_in_the_way_of_a_guest_that_comes_is_made_silent(bench):
    bench.accepts("prepare", bench.recorded())
    bench.accepts("migrate", bench.recorded())
    assert bench.states() == {"vm1": "incoming", "vm2": "incoming"}


def test_any_turn_at_any_time(bench):
    dice = random.Random(4)
    there = set()
    for _ in range(150):
        turn = dice.choice((*ATTACHING, "release", *SILENT_TURNS))
        before = bench.sluiced.state()
        bench.accepts(turn, bench.recorded())
        if turn in SILENT_TURNS:
            assert bench.sluiced.state() == before
        else:
            there = {"vm1", "vm2"} if turn in ATTACHING else set()
        assert set(bench.states()) == there


def test_the_same_again_changes_nothing(bench):
    """Also where a port has everything that metadata can say, and defaults that depend on each other; and
    after a restart of sluiced."""
    xml = bench.domain(
        bench.nic(0, queues=4, mtu=9000, trunks="10,20,0", rate_mbps=100, learn="true", park_ms=0,
                  switching="vepa", lcore="auto", socket_mode="0600", peer_users="root"),
        bench.nic(1, rate_mbps=100, burst_kb=2000, node=0, tx_retries=3, datapath="library"),
        bench.nic(2, mode="server", vlan=4094),
        Nic(MACS[9], f"{bench.sockets}//vm9", port={"bridge": "br0"}))
    xml = xml.replace(f"port mac='{MACS[9]}'", f"port mac='{MACS[9].upper()}'")
    bench.accepts("prepare", xml)
    before = bench.sluiced.state()
    assert [port["bridge"] for port in before[1]] == ["br0"] * 4
    bench.accepts("prepare", xml)
    assert bench.sluiced.state() == before
    bench.sluiced.kill()
    bench.sluiced.start()
    bench.accepts("prepare", xml)
    bench.accepts("release", xml)
    assert not bench.states()


@pytest.mark.parametrize("setting, change", [
    ("bridge", {"bridge": "br1"}), ("vlan", {"vlan": 8}), ("trunks", {"trunks": "1,2"}),
    ("queues", {"queues": 2}), ("mtu", {"mtu": 1400}), ("mode", {"mode": "server"}),
    ("rate_mbps", {"rate_mbps": 5}), ("learn", {"learn": "true"}), ("mac", {"number": 1})])
def test_another_setting_is_refused(bench, setting, change):
    xml = bench.domain(bench.nic(**{"number": 0, "name": "vm0", "vlan": 7, **change}
                                 if setting != "trunks" else {"trunks": "1,2"}))
    bench.accepts("prepare", bench.domain(bench.nic(vlan=7)))
    bench.refuses("prepare", xml, f"another {'vlan' if setting == 'trunks' else setting}",
                  "sluicectl port detach vm0")
    # So libvirt says that the domain is gone, and the next time it starts.
    bench.accepts("release", xml)
    bench.accepts("prepare", xml)


def test_all_ports_or_none(bench):
    wrong = bench.domain(bench.nic(0), bench.nic(1), bench.nic(2, bridge="nowhere"))
    bench.refuses("prepare", wrong, "there is no bridge nowhere")
    bench.accepts("migrate", bench.domain(bench.nic(1)))
    for turn in ATTACHING:
        bench.refuses(turn, wrong, "nowhere")
    assert bench.states() == {"vm1": "incoming"}


def test_a_port_of_another_is_not_touched(bench):
    """By RPC, and by a domain with the same interface."""
    xml = bench.domain(bench.nic(vlan=7))
    other = xml.replace(IDENTITY, IDENTITY.replace("6", "7"))
    bench.sluiced.rpc("port.attach", name="vm0", bridge="br0", mac=MACS[0], vlan=7)
    for turn in ATTACHING:
        bench.refuses(turn, xml, "belongs to rpc")
    bench.accepts("release", xml)
    assert bench.states() == {"vm0": "waiting"}
    bench.clean()
    bench.accepts("prepare", other)
    bench.refuses("prepare", xml, "belongs to libvirt:7")
    bench.accepts("release", xml)
    assert bench.states() == {"vm0": "waiting"}


def test_a_port_with_a_guest_is_not_given_to_another(bench):
    xml = bench.domain(bench.nic())
    bench.accepts("prepare", xml)
    guest = VhostGuest.at(bench.sockets / "vm0")
    try:
        wait_until(lambda: bench.sluiced.port("vm0")["peer"], "a front-end")
        for turn in ATTACHING:
            bench.refuses(turn, xml, "port vm0 has a guest", str(os.getpid()))
    finally:
        guest.close()


def test_release_takes_what_the_domain_no_longer_names(bench):
    """An interface was taken from it while it ran, or its metadata changed."""
    bench.accepts("prepare", bench.domain(bench.nic(0), bench.nic(1, mode="server")))
    bench.accepts("release", bench.domain(bench.nic(0, vlan=9, nonsense=1)))
    assert not bench.states()


def test_a_sluiced_that_cannot_keep_its_state_says_so(bench):
    """It refuses to change anything then; libvirt does not care at release, but its log tells."""
    bench.accepts("prepare", bench.recorded())
    away = bench.sluiced.state_dir.rename(bench.sluiced.directory / "away")
    bench.refuses("release", bench.recorded(), "state")
    bench.refuses("prepare", bench.domain(bench.nic(5)), "state")
    away.rename(bench.sluiced.state_dir)
    bench.accepts("release", bench.recorded())
    assert not bench.states()


def test_what_is_left_of_a_socket_of_qemus_goes_too(bench):
    stale, used = bench.sockets / "vm0", bench.sockets / "vm1"
    xml = bench.domain(bench.nic(0, mode="server"), bench.nic(1, mode="server"))
    bench.accepts("prepare", xml)
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as alive:
        dead.bind(str(stale))
        dead.close()
        alive.bind(str(used))
        alive.listen()
        bench.accepts("release", xml)
        assert list(bench.sockets.iterdir()) == [used]
    used.unlink()


NOT_OURS = {
    "bare": "<domain/>",
    "empty metadata": "<domain><metadata/></domain>",
    "of os-vif": domain_xml("vm", [Nic(MACS[0], "/run/openvswitch/vhu0")]),
    "another's metadata": domain_xml(
        "vm", [], extra_metadata="<metadata><ports xmlns='urn:other'><port/></ports></metadata>"),
    "nobody's metadata": domain_xml(
        "vm", [], extra_metadata="<metadata><ports><port mac='x'/></ports></metadata>"),
    "metadata in another place": f"<domain><devices>{metadata()}</devices></domain>",
}


@pytest.mark.parametrize("xml", NOT_OURS.values(), ids=NOT_OURS)
def test_a_guest_that_is_not_ours_needs_no_sluiced(directory, xml):
    for turn in (*ATTACHING, "release", *SILENT_TURNS):
        assert run(directory / "no-such-socket", turn, xml) == (0, "")


def test_a_guest_of_ours_does(directory):
    xml = recorded("prepare", directory)
    for turn in (*ATTACHING, "release"):
        status, complaint = run(directory / "no-such-socket", turn, xml)
        assert status == 1 and "start sluiced" in complaint
    for turn in SILENT_TURNS:
        assert run(directory / "no-such-socket", turn, b"no XML at all") == (0, "")


ENTITIES = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 10))
BROKEN_XML = {
    "nothing": b"",
    "no XML": b"\x7fELF",
    "cut off": b"<domain><name>vm",
    "not a domain": b"<network/>",
    "laughs": f"<!DOCTYPE d [<!ENTITY e0 'ha'>{ENTITIES}]><domain>&e9;</domain>".encode(),
    "a file": b"<!DOCTYPE d [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><domain>&f;</domain>",
    "a reference": b"<domain>&nothing;</domain>",
    "depth": b"<domain>" + b"<a>" * 100000,
    "a NUL": b"<domain></domain>\0",
    "no UTF-8": b"<domain><name>\xff\xfe</name></domain>",
    "UTF-16": "<domain/>".encode("utf-16"),
    "a long name": b"<domain><" + b"a" * (12 << 20) + b"/></domain>",
}


@pytest.mark.parametrize("xml", BROKEN_XML.values(), ids=BROKEN_XML)
def test_broken_xml_is_refused(bench, xml):
    for turn in (*ATTACHING, "release"):
        bench.refuses(turn, xml)


def test_a_hundred_megabytes_are_refused(bench):
    bench.refuses("prepare", b"<domain>" + b"<a/>" * (25 << 20) + b"</domain>", "16 MiB")


def bad_domains():
    """(what is wrong, a word of the complaint, (bench -> XML))"""
    def one(what, word, **port):
        yield what, word, lambda bench: bench.domain(bench.nic(**port))

    def replaced(what, word, old, new):
        yield what, word, lambda bench: bench.domain(bench.nic()).replace(old, new)

    def pathed(what, word, path):
        yield what, word, lambda bench: bench.domain(
            Nic(MACS[0], path.replace("S/", f"{bench.sockets}/"), port={"bridge": "br0"}))

    yield from one("VLAN 70000", "vlan must be", vlan=70000)
    yield from one("VLAN 0", "vlan must be", vlan=0)
    yield from one("a VLAN in words", "vlan must be", vlan="ten")
    yield from one("VLAN and trunks", "not both", vlan=1, trunks="2,3")
    yield from one("trunks twice", "twice", trunks="2,2")
    yield from one("17 queues", "queues must be", queues=17)
    yield from one("an MTU", "mtu must be", mtu=65536)
    yield from one("an attribute", "no attribute colour", colour="blue")
    yield from one("a name with a line end", "", bridge="br0&#10;x")
    yield from one("a long name", "bridge must", bridge="b" * 10000)
    yield from one("a mode", "<source mode=...>", mode="Client")
    for name in ("name", "socket", "mode", "queues", "mtu", "owner", "incoming"):
        yield from replaced(f"{name} in the metadata", f"leave out {name}", "bridge='br0'",
                            f"bridge='br0' {name}='1'")
    yield from replaced("no mac", "it has no mac", f"port mac='{MACS[0]}'", "port")
    yield from replaced("a mac of no interface", "no vhostuser interface", f"port mac='{MACS[0]}'",
                        f"port mac='{MACS[9]}'")
    yield from replaced("a group address", "group address", MACS[0], "01:00:00:00:00:01")
    yield from replaced("no MAC", "MAC addresses", MACS[0], "../../etc")
    yield from replaced("no bridge", "bridge", "bridge='br0'", "")
    yield from replaced("another namespace", "no attribute", "bridge='br0'", "sluice:bridge='br0'")
    yield from replaced("no uuid", "uuid", IDENTITY, "")
    yield from replaced("a long uuid", "uuid", IDENTITY, f"{IDENTITY}0")
    yield from replaced("no uuid at all", "uuid", IDENTITY, "../../../../../../../../../../../etc")
    yield from replaced("another element", "only its <port>", "<sluice:port ", "<sluice:uplink ")
    yield from replaced("a port of nobody's", "only its <port>", "<sluice:port ", "<port ")
    yield from replaced("another version", "not known", "sluice:ports", "sluice:holes")
    yield from replaced("two of ours", "one <ports>", "</metadata>",
                        "<p xmlns='urn:sluice:libvirt:1'/></metadata>")
    yield from replaced("attributes of ports", "attributes", "<sluice:ports ", "<sluice:ports x='1' ")
    yield from replaced("an ordinary interface", "no vhostuser interface", "'vhostuser'", "'bridge'")
    yield from replaced("no path", "<source path=", " path=", " trail=")
    yield from replaced("no mode", "<source mode=...>", "mode='client'", "")
    yield from pathed("a path with ..", "..", "S/../s/vm0")
    yield from pathed("a path elsewhere", "directory", "/tmp/vm0")
    yield from pathed("a path with a line end", "control characters", "S/vm&#10;0")
    yield from pathed("a relative path", "<source path=", "vm0")
    yield from pathed("a directory", "cannot be named", "S/")
    yield from pathed("auto", "cannot be named", "S/auto")
    yield from pathed("a dot", "cannot be named", "S/..")
    yield from pathed("an option", "cannot be named", "S/--force")
    yield from pathed("a long path", "bytes", "S/" + "a" * 10000)
    yield from pathed("a name of 64", "cannot be named", "/" + "a" * 64)
    yield "two interfaces", "two vhostuser interfaces", lambda bench: bench.domain(
        bench.nic(0), Nic(MACS[0].upper(), str(bench.sockets / "b")))
    yield "one port twice", "named", lambda bench: bench.domain(
        bench.nic(0), extra_metadata=metadata(*[bench.nic(0).port_xml()] * 2))
    yield "two of a name", "named", lambda bench: bench.domain(
        bench.nic(0, name="x"), bench.nic(1, name="/x"))
    yield "65 ports", "64", lambda bench: bench.domain(*map(bench.nic, range(65)))


BAD = list(bad_domains())


@pytest.mark.parametrize("word, make", [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_domain_is_refused(bench, word, make):
    for turn in ATTACHING:
        bench.refuses(turn, make(bench), word)
    assert not bench.states()


def test_many_interfaces_take_no_time(bench):
    """They are looked through for each of our ports."""
    nics = [bench.nic(number, bridge="nowhere") for number in range(64)]
    others = [Nic(MACS[70], f"/o/{number}") for number in range(20000)]
    bench.refuses("prepare", bench.domain(*others, *nics), "nowhere")


def test_a_symbolic_link_does_not_lead_out(bench):
    link = bench.sockets / "out"
    link.symlink_to("/tmp")
    bench.refuses("prepare", bench.domain(bench.nic(name="out/vm0")), "director")
    link.unlink()


@pytest.mark.parametrize("name", ["../../x", "a\nb", "\x1b[31m", "-s", "", "ä" * 3000],
                         ids=["path", "line end", "escape", "option", "nothing", "long"])
def test_the_name_of_a_domain_is_shown_and_no_more(bench, name):
    assert bench.run("prepare", bench.recorded(), name=name)[0] == 0
    assert bench.run("prepare", b"no XML", name=name)[0] == 1


def test_too_few_words_are_wrong_usage():
    for words in ([], ["vm"], ["-x", "vm", "prepare"]):
        done = subprocess.run([HOOK, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=DEADLINE_S)
        assert done.returncode == 2 and done.stderr.startswith(b"usage: ")


def test_a_sluiced_that_hangs_holds_nobody_up_for_ever(mute):
    for turn, hook in mute.hooks.items():
        wait_until(lambda: hook.poll() is not None, f"the end of {turn}", DEADLINE_S)
        complaint = hook.stderr.read().decode()
        assert hook.returncode == 1, (turn, complaint)
        assert "in time" in complaint or "does not end" in complaint, (turn, complaint)
