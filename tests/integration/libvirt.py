# SPDX-License-Identifier: BSD-3-Clause
"""libvirtd without systemd: one for each "host", in mount, network and UTS namespaces of its own.

What libvirtd has in /etc/libvirt, /run and /var is a directory of the test's; the tests' own directory
below /run stays where it is, so that sockets are reached from everywhere by one path.
"""

import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from proc import Process
from sluice import BUILD

HOOK = BUILD / "control/sluice-libvirt-hook"
NAMESPACE = "urn:sluice:libvirt:1"
MEMORY_MIB = 128
START_DEADLINE_S = 30
# A guest that leaves may have frames waiting for it, for two seconds.
VIRSH_DEADLINE_S = 60

LIBVIRTD_CONF = """auth_unix_rw = "none"
host_uuid = "{uuid}"
"""
QEMU_CONF = """user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""
ENTER = """set -e
mkdir -p "$1/etc/hooks/qemu.d" "$1/var/lib" "$1/var/log" "$1/var/cache" "$1/run$3"
ln -sfn /run "$1/var/run"
# Debian's libvirtd insists on users that only libvirt-daemon-system makes.
for names in passwd group; do
	{ cat /etc/$names; echo 'libvirt-qemu:x:64055:64055::/:/bin/false'; } >"$1/$names"
	mount --bind "$1/$names" /etc/$names
done
mount --bind "/run$3" "$1/run$3"
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/var" /var
mount --rbind "$1/run" /run
hostname "$2"
exec libvirtd
"""

def is_missing():
    """Why there can be no libvirtd here, or None."""
    lacks = [name for name in ("libvirtd", "virsh") if shutil.which(name) is None]
    return f"there is no {' and no '.join(lacks)}: tests/setup test" if lacks else None

@dataclass
class Nic:
    """A vhostuser interface. `port`: the attributes of its <sluice:port>, None for no such."""

    mac: str
    path: str
    mode: str = "client"
    port: dict = None
    queues: int = None
    mtu: int = None

    def xml(self):
        driver = f"<driver queues='{self.queues}'/>" if self.queues else ""
        mtu = f"<mtu size='{self.mtu}'/>" if self.mtu else ""
        again = "<reconnect enabled='yes' timeout='1'/>" if self.mode == "client" else ""
        return (f"<interface type='vhostuser'><mac address='{self.mac}'/>"
                f"<source type='unix' path='{self.path}' mode='{self.mode}'>{again}</source>"
                f"<model type='virtio'/>{driver}{mtu}</interface>")

    def port_xml(self):
        attributes = "".join(f" {name}='{value}'" for name, value in self.port.items())
        return f"<sluice:port mac='{self.mac}'{attributes}/>"

def metadata(*ports):
    return (f"<metadata><sluice:ports xmlns:sluice='{NAMESPACE}'>{''.join(ports)}"
            "</sluice:ports></metadata>")

def domain_xml(name, nics, image=None, console=None, identity=None, extra_metadata=None):
    """A domain, with metadata for those of the interfaces that have a port. `image`: (kernel, initrd)."""
    ports = [nic.port_xml() for nic in nics if nic.port is not None]
    about = extra_metadata if extra_metadata is not None else metadata(*ports) if ports else ""
    boot = serial = ""
    if image:
        boot = (f"<kernel>{image[0]}</kernel><initrd>{image[1]}</initrd>"
                "<cmdline>console=ttyS0 quiet panic=-1</cmdline>")
        serial = (f"<serial type='unix'><source mode='bind' path='{console}'/>"
                  "<target port='0'/></serial>")
    return f"""<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>{name}</name><uuid>{identity or uuid.uuid4()}</uuid>{about}
<memory unit='MiB'>{MEMORY_MIB}</memory><vcpu>1</vcpu>
<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
<os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os>
<cpu mode='maximum'/><on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
{"".join(nic.xml() for nic in nics)}{serial}<memballoon model='none'/></devices>
<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='virtio-net-pci.vectors=0'/></qemu:commandline>
</domain>"""

class Libvirtd:
    """One that runs the hook for a sluiced."""

    def __init__(self, name, directory, control):
        self.name = name
        self.directory = directory
        etc = directory / "etc"
        (etc / "hooks/qemu.d").mkdir(parents=True)
        (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=uuid.uuid4()), "ascii")
        (etc / "qemu.conf").write_text(QEMU_CONF, "ascii")
        self.hook_calls = directory / "hook-calls"
        self.write_hook("sluice", f'echo "$1 $2 $3 $4" >>{self.hook_calls}\n'
                                  f'exec {HOOK} -s {control} -- "$@"\n')
        self.socket = directory / "run/libvirt/libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        # All of the tests' directories, of this host and the other.
        tests = Path("/").joinpath(*directory.relative_to("/run").parts[:1])
        self.argv = ["unshare", "-m", "-n", "-u", "--propagation", "private", "sh", "-c", ENTER, "sh",
                     directory, name, tests]
        self.start()

    def start(self):
        """Starts it, again too, and returns when it answers."""
        self.process = Process(self.argv, self.directory / "libvirtd.log")
        try:
            self.process.wait_until(self._answers, "libvirtd to answer", START_DEADLINE_S)
        except AssertionError:
            self.process.kill()
            raise

    def _answers(self):
        """Also for what it has to ask QEMU."""
        try:
            return self.virsh("version", check=False, deadline_s=START_DEADLINE_S / 2).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def write_hook(self, name, commands):
        """A script that libvirt runs for each guest."""
        hook = self.directory / "etc/hooks/qemu.d" / name
        hook.write_text(f"#!/bin/sh\n{commands}", "ascii")
        hook.chmod(0o755)

    def virsh(self, *args, check=True, deadline_s=VIRSH_DEADLINE_S):
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *map(str, args)], capture_output=True,
                              text=True, timeout=deadline_s)
        assert not check or done.returncode == 0, (args, done)
        return done

    def define(self, xml):
        path = self.directory / "domain.xml"
        path.write_text(xml, "ascii")
        self.virsh("define", path)

    def state(self, domain):
        return self.virsh("domstate", domain).stdout.strip()

    def domains(self):
        """Names of those that run."""
        return self.virsh("list", "--name").stdout.split()

    def calls(self):
        """The turns at which the hook was run: "DOMAIN OPERATION SUBOPERATION EXTRA"."""
        return self.hook_calls.read_text("utf-8").splitlines() if self.hook_calls.exists() else []

    def pid(self, domain):
        """That of its QEMU, which is no child of libvirtd."""
        return int((self.directory / f"run/libvirt/qemu/{domain}.pid").read_text("ascii"))

    def kill(self):
        """SIGKILL; QEMUs go on, and start() finds them."""
        self.process.kill()

    def close(self):
        if not self.process.alive():
            self.start()
        for domain in self.domains():
            self.virsh("destroy", domain, check=False)
        status = self.process.stop()
        assert status == 0, f"libvirtd of {self.name} ended with {status}"
