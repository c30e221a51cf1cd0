# SPDX-License-Identifier: BSD-3-Clause
"""CloudStack's agent as far as it has to do with sluice: the same commands in the same order.

It speaks to sluiced through sluicectl, as a script would. Instead of libvirt there are front-ends in
this process, which read the domain's XML for what to do. At each step it can be told to fail, and then
it clears up as CloudStack does, or to die, and then it does not.
"""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote

from migration import BRIDGE
from sluice import SLUICECTL
from vhostguest import VhostGuest
from vhostuser import listen
from wait import wait_until

PREFIX = "csdpdk-"


class StepFailed(Exception):
    """A step of the agent went wrong, and it has cleared up."""


class AgentDied(Exception):
    """The agent is gone, in the middle of its work."""


def offering(mode="server", numa="shared", **more):
    """The parameters of createServiceOffering that say so, as CloudStack's API has them."""
    details = {"DPDK-VHOSTUSER": mode,
               "extraconfig-dpdk-hugepages": quote("<memoryBacking><hugepages/></memoryBacking>"),
               "extraconfig-dpdk-numa": quote(
                   '<cpu mode="host-passthrough"><numa><cell id="0" cpus="0" memory="524288" '
                   f'unit="KiB" memAccess="{numa}"/></numa></cpu>'), **more}
    flat = {}
    for i, (key, value) in enumerate(details.items()):
        flat[f"serviceofferingdetails[{i}].key"] = key
        flat[f"serviceofferingdetails[{i}].value"] = value
    return flat


class Vm:
    def __init__(self, name, macs, service_offering, vlans=("100", "0")):
        self.name = name
        self.nics = [{"mac": mac, "vlan": vlan} for mac, vlan in zip(macs, vlans)]
        self.offering = service_offering
        self.vm = {"type": "User", "details": {}}


class FakeLibvirt:
    """Domains of one host: a front-end for each vhost-user interface."""

    def __init__(self):
        self.domains = {}  # {name: (xml, [front-end])}

    def start(self, xml):
        domain = ElementTree.fromstring(xml)
        guests = []
        for interface in domain.findall("devices/interface[@type='vhostuser']"):
            source = interface.find("source")
            if source.get("mode") == "client":
                guests.append(VhostGuest.at(source.get("path")))
            else:
                with listen(source.get("path")) as listener:
                    listener.settimeout(10)
                    guests.append(VhostGuest(listener.accept()[0]))
                os.unlink(source.get("path"))  # QEMU's, which removes it in the end
        self.domains[domain.findtext("name")] = xml, guests

    def stop(self, name):
        for guest in self.domains.pop(name)[1]:
            guest.close()

    def sockets(self):
        return {interface.find("source").get("path") for xml, _ in self.domains.values()
                for interface in ElementTree.fromstring(xml).findall("devices/interface")}


class Agent:
    """On one host. `trouble`: {step: exception class to raise there}."""

    def __init__(self, host):
        self.host = host
        self.libvirt = FakeLibvirt()
        self.trouble = {}

    def ctl(self, *args, stdin=None):
        """sluicectl's result, or StepFailed with its error object."""
        words = [str(SLUICECTL), "-s", str(self.host.sluiced.control), "--json", *args]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise StepFailed(done.stderr)
        return json.loads(done.stdout)

    def call(self, *args, **params):
        return self.ctl(*args, "--params", "-", stdin=json.dumps(params))

    def step(self, name):
        if name in self.trouble:
            raise self.trouble.pop(name)(name)

    # ---- StartCommand, StopCommand

    def start(self, vm):
        resolved = self.call("offering", "resolve", offering=vm.offering, vm=vm.vm, path="start")
        assert resolved["dpdk"]
        ports = []
        try:
            for nic in vm.nics:
                ports.append(self.plug(nic, resolved["mode"]))
                self.step(f"attached-{len(ports)}")
            xml = self.domain(vm, ports)
            self.step("domain")
            self.libvirt.start(xml)
            self.step("booted")
        except StepFailed:
            if vm.name in self.libvirt.domains:
                self.libvirt.stop(vm.name)
            for port in ports:
                self.ctl("port", "detach", port["name"], "--force")
            raise
        for port in ports:
            self.host.wait_guest(port["name"])

    def plug(self, nic, mode):
        vlan = int(nic["vlan"])
        access = {"vlan": vlan} if 1 <= vlan <= 4094 else {}
        return self.call("port", "attach", name="auto", bridge=BRIDGE, mode=mode, mac=nic["mac"],
                         **access)

    def domain(self, vm, ports):
        devices, rest = [], []
        for nic, port in zip(vm.nics, ports):
            pieces = self.call("offering", "xml", offering=vm.offering, vm=vm.vm,
                               socket_dir=os.path.dirname(port["socket"]), port=port["name"], **nic)
            devices.append(pieces["interface"])
            rest = [pieces["cpu"], pieces["memory_backing"]]
        return (f"<domain type='kvm'><name>{vm.name}</name>{''.join(rest)}"
                f"<devices>{''.join(devices)}</devices></domain>")

    def stop(self, vm):
        interfaces = self.libvirt.domains[vm.name][0]
        self.libvirt.stop(vm.name)
        self.unplug(interfaces)

    def unplug(self, xml):
        for source in ElementTree.fromstring(xml).findall("devices/interface/source"):
            self.ctl("port", "detach", os.path.basename(source.get("path")))

    # ---- PrepareForMigrationCommand, and with rollback

    def prepare(self, vm):
        resolved = self.call("offering", "resolve", offering=vm.offering, vm=vm.vm, path="migrate")
        prepared = self.call("migration", "prepare", bridge=BRIDGE, mode=resolved["mode"],
                             nics=vm.nics)["map"]
        self.step("prepared")
        return prepared

    def rollback(self, prepared):
        return self.call("migration", "abort", map=prepared)["detached"]

    # ---- MigrateCommand

    def rewrite(self, vm, prepared):
        """The domain's XML for the other host."""
        return self.ctl("migration", "rewrite", "--map", json.dumps(prepared),
                        stdin=self.libvirt.domains[vm.name][0])["xml"]

    def migrate(self, vm, prepared, destination):
        """`destination`: the other host's libvirt."""
        old = self.libvirt.domains[vm.name][0]
        self.step("rewriting")
        new = self.rewrite(vm, prepared)
        self.step("rewritten")
        destination.start(new)
        try:
            self.step("moving")
        except StepFailed:
            destination.stop(vm.name)
            raise
        self.libvirt.stop(vm.name)
        self.step("moved")
        self.unplug(old)

    # ---- when it starts again

    def recover(self):
        """Takes away the ports that no domain has."""
        used = self.libvirt.sockets()
        for port in self.ctl("port", "list"):
            if port["name"].startswith(PREFIX) and port["socket"] not in used:
                self.ctl("port", "detach", port["name"], "--force")

    def wait_up(self, vm):
        for source in ElementTree.fromstring(self.libvirt.domains[vm.name][0]).findall(
                "devices/interface/source"):
            self.host.wait_guest(os.path.basename(source.get("path")))

    def leftovers(self):
        """Ports and sockets that are there."""
        return [port["name"] for port in self.ctl("port", "list")], \
            sorted(os.listdir(self.host.sluiced.socket_dir))

    def wait_clean(self):
        wait_until(lambda: self.leftovers() == ([], []), f"nothing left on {self.host.name}")
