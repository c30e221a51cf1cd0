# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-testpmd as a guest: one or more virtio-user ports on vhost-user sockets."""

import os
import re
import subprocess
import uuid

from proc import Process

START_DEADLINE_S = 30


class Testpmd:
    """An interactive testpmd with a virtio-user port for each socket of `sockets`.

    server: virtio-user makes the sockets (sluice's client mode). `vdevs` adds devices as EAL
    takes them. It polls on `cpu`. `memory`: MiB of hugepages of each node. Commands go through stdin; an answer ends where an unknown
    command of ours is refused.
    """

    __test__ = False  # for pytest: no tests in here

    def __init__(self, directory, sockets=(), mode="io", server=False, vdevs=(), args=(), cpu=0,
                 packed=False, macs=(), queues=1, memory="64"):
        devices = []
        for i, path in enumerate(sockets):
            device = f"net_virtio_user{i},path={path},queues={queues},queue_size=256"
            if server:
                device += ",server=1"
            if packed:
                device += ",packed_vq=1"
            if macs:
                device += f",mac={macs[i]}"
            devices.append(device)
        self.name = f"pmd-{uuid.uuid4().hex[:6]}"
        self.process = Process(
            ["stdbuf", "-oL", "dpdk-testpmd", "--no-pci", "--in-memory",
             "--single-file-segments", "--socket-mem", memory, "--lcores", f"0@({cpu}),1@({cpu})",
             "--file-prefix", self.name,
             *[word for device in [*devices, *vdevs] for word in ("--vdev", device)],
             "--", "--interactive", "--no-mlockall", "--total-num-mbufs=4096",
             f"--forward-mode={mode}", "--rxq", queues, "--txq", queues, *args],
            directory / f"{self.name}.log",
            stdin=subprocess.PIPE,
        )
        try:
            self.command("show port summary all", deadline_s=START_DEADLINE_S)
        except AssertionError:
            self.process.kill()
            raise

    def command(self, line, deadline_s=20):
        """Gives one command; returns what testpmd printed to it."""
        before = len(self.process.output())
        mark = f"end{uuid.uuid4().hex[:8]}"
        os.write(self.process.popen.stdin.fileno(), f"{line}\n{mark}\n".encode())

        def answer():
            printed = self.process.output()[before:]
            found = re.search(rf"(.*){mark}.*Command not found", printed, re.S)
            return found and found[1]

        return self.process.wait_until(answer, f"the end of \"{line}\"", deadline_s)

    def start(self):
        self.command("start")

    def stop(self):
        self.command("stop")

    def stats(self, port=0):
        """{rx_packets, rx_bytes, tx_packets, ...} of a port."""
        printed = self.command(f"show port stats {port}")
        return {name.lower().replace("-", "_"): int(value)
                for name, value in re.findall(r"([RT]X-[a-z]+):\s*(\d+)", printed)}

    def close(self):
        self.process.stop(5)
