# SPDX-License-Identifier: BSD-3-Clause
"""A machine with several memory nodes: QEMU (TCG) with Debian's generic kernel, whose root is the
host's, read-only by 9p. What runs in it is what the host has: the build directory, Python, DPDK.

sluiced runs inside; call() has numaagent.py do something there.
"""

import itertools
import json
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

import initramfs
from proc import Process
from rpc import Refused

HERE = Path(__file__).resolve().parent
BOOT_DEADLINE_S = 120  # 10 s on an idle machine
CALL_DEADLINE_S = 120
HUGEPAGE_KIB = 2048

# The agent ends the machine when it ends: the kernel does not go on without init.
INIT = """
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set lo up
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host
mount -t proc proc /host/proc
mount -t sysfs sys /host/sys
mount -t devtmpfs dev /host/dev
mkdir -p /host/dev/shm /host/dev/hugepages
mount -t tmpfs run /host/run
mount -t tmpfs shm /host/dev/shm
mount -t hugetlbfs hugepages /host/dev/hugepages
mount -t cgroup2 cgroup /host/sys/fs/cgroup
# DPDK's driver gets the NIC, if there is one.
echo 1 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
for nic in $(cd /sys/bus/pci/drivers/virtio-pci && echo 0000:*); do
	[ "$(cat /sys/bus/pci/devices/$nic/class)" = 0x020000 ] || continue
	echo vfio-pci > /sys/bus/pci/devices/$nic/driver_override
	echo $nic > /sys/bus/pci/drivers/virtio-pci/unbind
	echo $nic > /sys/bus/pci/drivers_probe
done
export PYTHONDONTWRITEBYTECODE=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec chroot /host /usr/bin/python3 "$AGENT" /dev/vport*
"""
GENERIC = initramfs.Image("linux-image-amd64",
                          ("virtio_pci", "virtio_console", "9pnet_virtio", "9p",
                           "vfio_iommu_type1", "vfio_pci"), INIT)


@dataclass(frozen=True)
class Node:
    cpus: int
    memory_mib: int = 448  # 0: CPUs alone
    hugepages: int = 96


@dataclass(frozen=True)
class Layout:
    """CPUs are counted from node 0 on. `threads`: hyperthreads of a core. `distances`: {(lower node,
    higher node): as firmware says}, else 20. `nic_node`: there is a NIC at that node, without a
    driver of the kernel's. `kernel`: more of its command line."""

    nodes: tuple
    threads: int = 1
    distances: dict = field(default_factory=dict)
    nic_node: int = None
    kernel: str = ""

    def cpus(self):
        """The CPUs of each node."""
        first = 0
        answer = []
        for node in self.nodes:
            answer.append(list(range(first, first + node.cpus)))
            first += node.cpus
        return answer

    def arguments(self):
        count = sum(node.cpus for node in self.nodes)
        words = ["-smp", f"{count},sockets={count // self.threads},cores=1,threads={self.threads}",
                 "-m", sum(node.memory_mib for node in self.nodes)]
        for i, (node, cpus) in enumerate(zip(self.nodes, self.cpus())):
            text = f"node,nodeid={i}"
            if cpus:
                text += f",cpus={cpus[0]}-{cpus[-1]}"
            if node.memory_mib > 0:
                words += ["-object", f"memory-backend-ram,id=m{i},size={node.memory_mib}M"]
                text += f",memdev=m{i}"
            words += ["-numa", text]
        for one, other in itertools.combinations(range(len(self.nodes)), 2):
            value = self.distances.get((one, other), 20)
            words += ["-numa", f"dist,src={one},dst={other},val={value}"]
        return words


class Wire:
    """The other end of the machine's NIC."""

    def __init__(self, directory):
        self._nic, here = directory / "nic", directory / "wire"
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind(str(here))
        self.arguments = [
            "-netdev", f"dgram,id=wire,local.type=unix,local.path={self._nic},"
                       f"remote.type=unix,remote.path={here}"]

    def at_node(self, node):
        return [*self.arguments,
                "-device", f"pxb-pcie,id=far,bus=pcie.0,bus_nr=64,numa_node={node}",
                "-device", "pcie-root-port,id=root,bus=far,chassis=1",
                "-device", "virtio-net-pci,bus=root,netdev=wire,disable-legacy=on,iommu_platform=on"]

    def send(self, data):
        self.end.sendto(data, str(self._nic))

    def recv(self, deadline_s):
        """The next frame that the NIC sends, or None."""
        self.end.settimeout(deadline_s)
        try:
            return self.end.recv(65536)
        except TimeoutError:
            return None

    def close(self):
        self.end.close()


class GuestEnded(AssertionError):
    """QEMU is gone."""


class NumaGuest:
    """Has booted, and has its hugepages, when the constructor returns."""

    def __init__(self, directory, layout, build):
        self.layout = layout
        self._console_log = directory / "console"
        self._line_path = directory / "agent"
        self.wire = None if layout.nic_node is None else Wire(directory)
        kernel, initrd = initramfs.build(build / "numa-image", GENERIC, [__file__])
        # Words that the kernel does not know become variables of init.
        command_line = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check "
                        f"AGENT={HERE / 'numaagent.py'} SLUICE_BUILD={Path(build).resolve()} "
                        f"intel_iommu=on {layout.kernel}")
        argv = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "q35", "-accel", "tcg,thread=multi", "-no-reboot",
            "-cpu", "max,vendor=GenuineIntel",  # of AMD's hyperthreads QEMU tells Linux nothing
            *layout.arguments(),
            *(("-device", "intel-iommu") if self.wire else ()),
            "-kernel", kernel, "-initrd", initrd, "-append", command_line,
            "-serial", f"file:{self._console_log}",
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,"
                       "multidevs=remap,id=fs0",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self._line_path},server=on,wait=off",
            "-device", "virtserialport,chardev=agent",
            *(self.wire.at_node(layout.nic_node) if self.wire else ()),
        ]
        try:
            self._boot(argv, directory / "qemu.log")
        except GuestEnded as failure:
            # One boot in some dozens, before anything of ours runs and without a word.
            print(f"once more: {failure}")
            self._boot(argv, directory / "qemu.log")

    def _boot(self, argv, log):
        self._line = None
        self._rest = b""
        self.process = Process(argv, log)
        try:
            self._line = self.process.wait_until(self._connect, "its agent's line", 20)
            self.call("listing", "/sys/devices/system/node", deadline_s=BOOT_DEADLINE_S)
            for i, node in enumerate(self.layout.nodes):
                if node.memory_mib > 0:
                    self.set_hugepages(i, node.hugepages)
        except BaseException:
            self._end()
            raise

    def _connect(self):
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(self._line_path))
        except OSError:
            line.close()
            return None
        return line

    def call(self, function, *args, deadline_s=CALL_DEADLINE_S, **params):
        """The result of a function of numaagent.py; Refused, if that is what sluiced did."""
        request = {"function": function, "args": args, "params": params}
        self._line.settimeout(deadline_s)
        try:
            self._line.sendall(json.dumps(request, default=os.fspath).encode() + b"\n")
            while b"\n" not in self._rest:
                data = self._line.recv(1 << 20)
                if not data:
                    raise ConnectionResetError
                self._rest += data
        except TimeoutError:
            raise AssertionError(f"{function} {args} {params}: not within {deadline_s} s\n"
                                 f"{self._last_words()}") from None
        except ConnectionError:
            raise GuestEnded(f"the guest ended ({self.process.wait(10)})\n"
                             f"{self._last_words()}") from None
        line, self._rest = self._rest.split(b"\n", 1)
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        assert "failed" not in answer, answer["failed"]
        return answer["result"]

    def _last_words(self):
        console = self._console_log.read_text(errors="replace") if self._console_log.exists() else ""
        return f"{console[-3000:]}\n--- QEMU\n{self.process.output()[-2000:]}"

    def read(self, path):
        return self.call("read", path)

    def write(self, path, text):
        self.call("write", path, str(text))

    def rpc(self, method, **params):
        return self.call("rpc", method, **params)

    @staticmethod
    def _hugepages_file(node, file):
        return (f"/sys/devices/system/node/node{node}/hugepages/hugepages-{HUGEPAGE_KIB}kB/{file}")

    def hugepages(self, node, file="nr_hugepages"):
        """As the kernel counts them; 0 for a node that has no memory."""
        if self.layout.nodes[node].memory_mib == 0:
            return 0
        return int(self.read(self._hugepages_file(node, file)))

    def set_hugepages(self, node, count):
        self.write(self._hugepages_file(node, "nr_hugepages"), count)
        assert self.hugepages(node) == count, f"node {node} cannot have {count} hugepages"

    def nic(self):
        """The NIC's PCI address."""
        devices = "/sys/bus/pci/devices"
        (address,) = (name for name in self.call("listing", devices)
                      if self.read(f"{devices}/{name}/class").strip() == "0x020000")
        node = int(self.read(f"{devices}/{address}/numa_node"))
        assert node == self.layout.nic_node, "firmware says something else"
        return address

    def set_online(self, cpu, online):
        self.write(f"/sys/devices/system/cpu/cpu{cpu}/online", int(online))

    def threads(self, pid):
        """{name: [CPUs that the kernel lets it have, as it writes them]}"""
        answer = {}
        for tid in self.call("listing", f"/proc/{pid}/task"):
            status = self.read(f"/proc/{pid}/task/{tid}/status")
            name = re.search(r"^Name:\t(.*)$", status, re.M)[1]
            answer.setdefault(name, []).append(
                re.search(r"^Cpus_allowed_list:\t(.*)$", status, re.M)[1])
        return answer

    def hugepages_of(self, pid):
        """{node: bytes of hugepages that a process has touched there}"""
        answer = {}
        for line in self.read(f"/proc/{pid}/numa_maps").splitlines():
            if " huge" in line:
                for node, pages in re.findall(r" N(\d+)=(\d+)", line):
                    (page_kib,) = re.findall(r" kernelpagesize_kB=(\d+)", line)
                    answer[int(node)] = (answer.get(int(node), 0) +
                                         int(pages) * int(page_kib) * 1024)
        return answer

    def _end(self):
        if self._line is not None:
            self._line.close()
        self.process.kill()

    def close(self):
        self._end()
        if self.wire is not None:
            self.wire.close()
