# SPDX-License-Identifier: BSD-3-Clause
"""A real libvirtd runs the hook: domains start, fail to start, stop, and move between two of them.

After each, every port and socket that should not be there is gone.
"""

import os
import signal
import subprocess
import uuid

import pytest

import libvirt
from libvirt import Libvirtd, Nic, domain_xml
from sluice import SLUICECTL, Sluiced
from wait import wait_until

BRIDGE = "br0"
MACS = ["52:54:00:00:0b:01", "52:54:00:00:0b:02"]

pytestmark = pytest.mark.skipif(libvirt.is_missing() is not None, reason=str(libvirt.is_missing()))


class Host:
    """A hypervisor: sluiced, and libvirtd with the hook."""

    def __init__(self, name, scratch):
        self.directory = scratch()
        self.sluiced = Sluiced(self.directory)
        self.sluiced.rpc("bridge.add", name=BRIDGE)
        try:
            self.libvirtd = Libvirtd(name, scratch(), self.sluiced.control)
        except BaseException:
            self.sluiced.stop()
            raise

    def nics(self, name, **second):
        """One of each mode; `second`: what the port of the second has in addition."""
        return [Nic(MACS[0], self.socket(f"{name}-0"), "client", {"bridge": BRIDGE, "vlan": 7}),
                Nic(MACS[1], self.socket(f"{name}-1"), "server", {"bridge": BRIDGE, **second})]

    def domain(self, name, image=None, **options):
        return domain_xml(name, options.pop("nics", None) or self.nics(name), image,
                          self.directory / f"{name}.con", **options)

    def define(self, name, image=None, **options):
        self.libvirtd.define(self.domain(name, image, **options))

    def virsh(self, *args, check=True):
        return self.libvirtd.virsh(*args, check=check)

    def socket(self, name):
        return self.sluiced.socket_dir / name

    def ports(self):
        """{name: state}"""
        return {port["name"]: port["state"] for port in self.sluiced.rpc("port.list")}

    def assert_clean(self):
        assert not self.ports()
        assert not list(self.sluiced.socket_dir.iterdir())

    def turns(self, name):
        """The turns of a domain's life at which the hook was run."""
        calls = [call.split() for call in self.libvirtd.calls()]
        return [turn for domain, turn, _, _ in calls if domain == name]

    def close(self):
        try:
            self.libvirtd.close()
        finally:
            self.sluiced.stop()


@pytest.fixture(scope="module")
def host(scratch):
    one = Host("hosta", scratch)
    yield one
    one.close()


@pytest.fixture(scope="module")
def other(scratch):
    one = Host("hostb", scratch)
    yield one
    one.close()


def test_a_domain_has_its_ports_while_it_runs(host):
    host.define("one")
    host.assert_clean()
    host.virsh("start", "one")
    ports = {port["name"]: port for port in host.sluiced.rpc("port.list")}
    assert {name: (port["mode"], port["vlan"], port["mac"]) for name, port in ports.items()} == {
        "one-0": ("server", 7, [MACS[0]]), "one-1": ("client", None, [MACS[1]])}
    assert {port["owner"] for port in ports.values()} == {
        f"libvirt:{host.virsh('domuuid', 'one').stdout.strip()}"}
    host.sluiced.process.wait_until(
        lambda: all(host.sluiced.port(name)["peer"] for name in ports), "QEMU at both ports", 10)
    host.virsh("destroy", "one")
    host.assert_clean()
    assert host.turns("one") == ["prepare", "start", "started", "stopped", "release"]


def test_metadata_may_be_written_by_virsh(host):
    host.define("virsh", extra_metadata="")
    host.virsh("metadata", "virsh", "--config", "--uri", libvirt.NAMESPACE, "--key", "sluice",
               "--set", f"<ports><port mac='{MACS[0]}' bridge='{BRIDGE}'/>"
                        f"<port mac='{MACS[1].upper()}' bridge='{BRIDGE}'/></ports>")
    host.virsh("start", "virsh")
    assert set(host.ports()) == {"virsh-0", "virsh-1"}
    host.virsh("destroy", "virsh")
    host.assert_clean()


def test_a_port_that_cannot_be_made_keeps_the_domain_from_starting(host):
    host.define("refused", nics=host.nics("refused", bridge="nowhere"))
    done = host.virsh("start", "refused", check=False)
    assert done.returncode != 0
    assert "sluice: refused: there is no bridge nowhere" in done.stderr
    assert host.turns("refused") == ["prepare", "stopped", "release"]
    host.assert_clean()


def test_a_start_that_fails_in_qemu_leaves_no_port(host):
    host.define("broken", image=("/no/kernel", "/no/initrd"))
    assert host.virsh("start", "broken", check=False).returncode != 0
    assert host.turns("broken")[-1] == "release"
    host.assert_clean()


def test_ports_of_others_are_left_alone(host):
    """Of a domain without metadata, such as one whose ports the Open_vSwitch database or os-vif makes; and
    when a domain asks for a name that somebody else's port has."""
    host.sluiced.rpc("port.attach", name="other-0", bridge=BRIDGE)
    host.define("other", nics=[Nic(MACS[0], host.socket("other-0"))])
    host.virsh("start", "other")
    host.virsh("destroy", "other")
    host.define("greedy", nics=[Nic(MACS[0], host.socket("other-0"), port={"bridge": BRIDGE})])
    done = host.virsh("start", "greedy", check=False)
    assert "sluice: greedy: there is a port other-0 already" in done.stderr
    assert host.ports() == {"other-0": "waiting"}
    host.sluiced.rpc("port.detach", name="other-0")
    host.assert_clean()


def test_a_guest_that_dies_while_libvirt_is_dead_leaves_no_port(host):
    host.define("orphan")
    host.virsh("start", "orphan")
    host.libvirtd.kill()
    os.kill(host.libvirtd.pid("orphan"), signal.SIGKILL)
    host.libvirtd.start()
    wait_until(lambda: "release" in host.turns("orphan"), "libvirt to miss the guest")
    wait_until(lambda: not host.ports(), "no port")
    host.assert_clean()


class Roaming:
    """A guest that has booted, at one of two hosts."""

    name = "roaming"

    def __init__(self, host, image):
        self.image = image
        self.identity = uuid.uuid4()
        self.host = host
        host.define(self.name, image, identity=self.identity)
        host.virsh("start", self.name)
        self.wait_up()

    def ports(self, state):
        return {f"{self.name}-0": state, f"{self.name}-1": state}

    def wait_up(self, deadline_s=30):
        wait_until(lambda: self.host.ports() == self.ports("up"), f"{self.name} up at its host",
                   deadline_s)

    def migrate(self, to, *options):
        """A virsh that moves it."""
        xml = to.directory / "migrated.xml"
        xml.write_text(to.domain(self.name, self.image, identity=self.identity), "ascii")
        return subprocess.Popen(
            ["virsh", "-q", "-c", self.host.libvirtd.uri, "migrate", "--live", "--p2p", "--unsafe",
             "--persistent", "--undefinesource", "--xml", str(xml), *options, self.name, "--desturi",
             to.libvirtd.uri, "--migrateuri", f"unix://{to.directory}/migration"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def roaming(host, other, guest_image):
    for one in (host, other):
        one.assert_clean()
    guest = Roaming(host, guest_image)
    yield guest
    guest.host.virsh("destroy", guest.name)
    guest.host.assert_clean()


def finish(virsh):
    """(exit status, what virsh complained of)"""
    _, complaint = virsh.communicate(timeout=libvirt.VIRSH_DEADLINE_S)
    return virsh.returncode, complaint


def assert_stayed(guest, other):
    """The guest goes on where it was, and the other host has nothing of it."""
    assert guest.host.ports() == guest.ports("up")
    assert guest.host.virsh("domstate", guest.name).stdout.strip() == "running"
    other.assert_clean()


def test_a_migration_that_is_aborted_leaves_the_guest_its_ports(roaming, other):
    virsh = roaming.migrate(other, "--bandwidth", "1")
    wait_until(lambda: other.ports() == roaming.ports("incoming") and
               other.sluiced.port("roaming-0")["peer"], "a QEMU that awaits the guest")
    wait_until(lambda: roaming.host.virsh("domjobabort", roaming.name, check=False).returncode == 0,
               "a migration to abort")
    status, complaint = finish(virsh)
    assert status != 0 and "cancel" in complaint, complaint
    wait_until(lambda: other.turns(roaming.name)[-1] == "release", "the other host to clean up")
    wait_until(lambda: not other.ports(), "no port at the other host")
    assert_stayed(roaming, other)


def test_a_migration_that_fails_at_the_other_host_leaves_no_port_there(roaming, other):
    other.libvirtd.write_hook("zz-refuse", '[ "$2" != start ]\n')
    status, complaint = finish(roaming.migrate(other))
    other.libvirtd.write_hook("zz-refuse", "exit 0\n")
    assert status != 0 and "zz-refuse" in complaint, complaint
    assert_stayed(roaming, other)


def test_a_guest_moves_with_its_ports(roaming, host, other):
    looks = other.directory / "looks"
    other.libvirtd.write_hook("zz-look", f'echo "$2" $({SLUICECTL} -s {other.sluiced.control}'
                                         f" port list | grep -c incoming) >>{looks}\n")
    status, complaint = finish(roaming.migrate(other))
    assert status == 0, complaint
    roaming.host = other
    # Both ports were there, and silent, before QEMU was.
    assert looks.read_text("ascii").splitlines()[:2] == ["migrate 2", "prepare 2"]
    roaming.wait_up()
    host.assert_clean()
    status, complaint = finish(roaming.migrate(host))
    assert status == 0, complaint
    roaming.host = host
    roaming.wait_up()
    other.assert_clean()
