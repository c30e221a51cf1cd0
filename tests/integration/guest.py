# SPDX-License-Identifier: BSD-3-Clause
"""A real guest: QEMU (TCG), Debian's cloud kernel, one vhost-user interface.

vectors=0 on the device: QEMU 7.2 under TCG crashes with vhost-user and MSI-X.
"""

import contextlib
import json
import re
import socket
import threading

from proc import Process
from wait import Timeout, wait_until

BOOT_DEADLINE_S = 60  # 3 s on an idle machine
COMMAND_DEADLINE_S = 30
# No multiple of 256 KiB, on purpose: the quick way in which QEMU 7.2 collects the dirty pages of such memory
# (cpu_physical_memory_sync_dirty_bitmap) leaves TCG's TLB as it is, so that what a CPU writes afterwards
# is not seen to be dirty, and a guest that migrates is set back in places.
MEMORY_KIB = (128 << 10) + 8


class Guest:
    """Start several at once (the constructor does not wait), then wait_booted() each.

    qemu_listens: QEMU makes the socket (a port in client mode), else it connects and reconnects.
    queues: pairs, each with a CPU of its own, since the driver uses no more of them than that.
    incoming: a socket on which another Guest's memory and state are awaited, instead of a boot.
    """

    def __init__(self, name, directory, kernel, initrd, socket_path, mac, qemu_listens=False,
                 queues=1, packed=False, incoming=None):
        self.name = name
        self.mac = mac
        self._lock = threading.Lock()
        self._console = None
        self._serial = 0
        self._end = directory / f"{name}.con"
        self._qmp = directory / f"{name}.qmp"
        self._console_log = directory / f"{name}.console"
        side = "server=on,wait=off" if qemu_listens else "reconnect=1"
        self.process = Process(
            [
                "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
                "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-smp", queues, "-m", f"{MEMORY_KIB}K", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
                "-append", "console=ttyS0 quiet panic=-1",
                "-chardev", f"socket,id=con,path={self._end},server=on,wait=off,"
                            f"logfile={self._console_log}",
                "-serial", "chardev:con",
                "-qmp", f"unix:{self._qmp},server=on,wait=off",
                "-object", f"memory-backend-memfd,share=on,id=mem0,size={MEMORY_KIB}K",
                "-numa", "node,memdev=mem0",
                "-chardev", f"socket,id=ch0,path={socket_path},{side}",
                "-netdev", f"vhost-user,id=net0,chardev=ch0,queues={queues}",
                "-device", f"virtio-net-pci,netdev=net0,mac={mac},vectors=0"
                           + (",mq=on" if queues > 1 else "")
                           + (",packed=on" if packed else ""),
                *(["-incoming", f"unix:{incoming}"] if incoming else []),
            ],
            directory / f"{name}.log",
        )

    def wait_booted(self):
        """The guest answers on its console; one that came in does, too."""

        def connected():
            console = socket.socket(socket.AF_UNIX)
            try:
                console.connect(str(self._end))
            except OSError:
                console.close()
                return None
            return console

        self._console = self.process.wait_until(connected, "its console", 20)
        # A shell that is not there yet swallows what is typed: ask until one answers.
        try:
            self.process.wait_until(self._answers, "a shell in the guest", BOOT_DEADLINE_S)
        except Timeout as failure:
            raise Timeout(f"{failure}\n--- its console\n{self.console()[-2000:]}") from None

    def _answers(self):
        with contextlib.suppress(TimeoutError):
            self._ask("true", 1)
            return True
        return False

    def _ask(self, command, deadline_s):
        self._serial += 1
        mark = f"{self.name}-{self._serial}"
        # The quotes keep an echo of the command line from looking like the answer.
        line = f"echo '<''{mark}>'; {command}\necho \"<\"\"/{mark} $?>\"\n"
        self._console.settimeout(deadline_s)
        self._console.sendall(line.encode())
        seen = ""
        pattern = re.compile(rf"<{mark}>\r?\n(.*?)<{re.escape('/' + mark)} (\d+)>", re.S)
        while True:
            try:
                data = self._console.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise AssertionError(self._obituary())
            seen += data.decode(errors="replace")
            found = pattern.search(seen)
            if found:
                return found[1].replace("\r", "").strip(), int(found[2])

    def _obituary(self):
        """What a guest left that ended: a kernel's last words, or QEMU's."""
        status = self.process.wait(10)
        return f"{self.name} ended ({status})\n{self.console()[-3000:]}\n--- QEMU\n{self.process.output()}"

    def console(self):
        """All that the guest has said on its console, in this QEMU."""
        return self._console_log.read_text(errors="replace")

    def run(self, command, deadline_s=COMMAND_DEADLINE_S, check=True):
        """Runs a command line in the guest's shell. Returns its output, or (output, status)."""
        with self._lock:
            try:
                output, status = self._ask(command, deadline_s)
            except TimeoutError:
                raise AssertionError(
                    f"{self.name}: no end of \"{command}\" within {deadline_s} s") from None
        if not check:
            return output, status
        assert status == 0, f"{self.name}: \"{command}\" gave {status}: {output}"
        return output

    def set_address(self, address, dev="eth0"):
        self.run(f"ip addr flush dev {dev}; ip addr add {address} dev {dev}; ip link set {dev} up")

    def ping(self, address, count=3, wait_s=1):
        """Returns how many of `count` were answered."""
        output, _ = self.run(f"ping -c {count} -W {wait_s} -A {address}", check=False,
                             deadline_s=30 + count * wait_s)
        return int(re.search(r"(\d+) packets received", output)[1])

    def wait_reaches(self, address, deadline_s=30):
        wait_until(lambda: self.ping(address, count=1), f"{self.name} reaching {address}",
                   deadline_s)

    def send(self, address, pps, seconds, size=64, port=7):
        """A sequence-numbered stream to an echo; returns guestagent's report."""
        report = self.run(f"guestagent send {address} {port} {pps} {seconds} {size}",
                          deadline_s=seconds + 30)
        return json.loads(report)

    def start(self, command):
        """Leaves a command running; it must not read what is typed to the shell."""
        self.run(f"({command}) </dev/null >/dev/null 2>&1 &")

    def echo(self, port=7):
        """Gives datagrams back from now on."""
        if self.run("pidof guestagent", check=False)[1] != 0:
            self.start(f"guestagent echo {port}")
            wait_until(lambda: f":{port} " in self.run("netstat -lun"), "the echo to listen")

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self._qmp))
            with control.makefile("rw", encoding="utf-8") as stream:
                stream.readline()
                for execute, args in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": execute, "arguments": args}) + "\n")
                    stream.flush()
                    answer = {}
                    while "return" not in answer and "error" not in answer:
                        answer = json.loads(stream.readline())
        return answer

    def close(self):
        if self._console is not None:
            self._console.close()
        self.process.kill()
