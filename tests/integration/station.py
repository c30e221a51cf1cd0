# SPDX-License-Identifier: BSD-3-Clause
"""A host in this process that exchanges numbered datagrams with a real guest, and keeps books.

Three flows: "to" the guest (its `guestagent sink` counts), "from" it (`guestagent source` sends), and
"echo", there and back. The guest finds the station by ARP, as any other.
"""

import collections
import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from frames import mac_bytes
from packets import ones_sum
from wait import Timeout, wait_until

ECHO_PORT, SINK_PORTS, SOURCE_PORTS = 7, 9000, 9500  # the latter: of station 0
ASK = (1 << 64) - 1  # guestagent's SINK_ASK
PAYLOAD_BYTES = 64
BURST = 32  # a station that was not scheduled for a while catches up in steps
ROUND_S = 0.001
RANGES_MAX = 8
LATE_S = 5  # how long frames may be under way when all have been sent
PATTERN = [bytes((number * 31 + at * 7) & 0xFF for at in range(16, PAYLOAD_BYTES))
           for number in range(256)]
KINDS = ("to", "from", "echo")
TYPE_IP, TYPE_ARP = b"\x08\x00", b"\x08\x06"


@dataclass
class Flow:
    """What came of a flow."""

    sent: int = 0
    received: int = 0  # different ones
    duplicates: int = 0
    reordered: int = 0
    corrupt: int = 0
    longest_gap_ms: float = 0  # between two arrivals; 0 for "to": a stopped guest has no clock
    missing: list = field(default_factory=list)  # [[first, last], ...], the first few

    @property
    def lost(self):
        return self.sent - self.received

    def __add__(self, other):
        return Flow(*(getattr(self, name) + getattr(other, name) for name in
                      ("sent", "received", "duplicates", "reordered", "corrupt")),
                    max(self.longest_gap_ms, other.longest_gap_ms))

    def is_whole(self):
        return (self.lost, self.duplicates, self.corrupt) == (0, 0, 0)

    def __str__(self):
        missing = f" {self.missing}" if self.missing else ""
        return (f"{self.lost} of {self.sent} lost{missing}, {self.duplicates} twice, "
                f"{self.corrupt} corrupt, {self.reordered} out of order, "
                f"longest gap {self.longest_gap_ms:.0f} ms")


class Books:
    """Tells numbered arrivals apart: new, late, or here for the second time."""

    def __init__(self):
        self.flow = Flow()
        self._seen = set()
        self._next = 0
        self._last_s = None

    def take(self, number, now_s):
        flow = self.flow
        if number in self._seen:
            flow.duplicates += 1
            return
        self._seen.add(number)
        flow.received += 1
        flow.reordered += number < self._next
        self._next = max(self._next, number + 1)
        if self._last_s is not None:
            flow.longest_gap_ms = max(flow.longest_gap_ms, (now_s - self._last_s) * 1e3)
        self._last_s = now_s

    def find_missing(self):
        """Fills in flow.missing."""
        gone = (number for number in range(self.flow.sent) if number not in self._seen)
        ranges = []
        for number in gone:
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1][1] = number
            elif len(ranges) < RANGES_MAX:
                ranges.append([number, number])
            else:
                break
        self.flow.missing = ranges


class Station:
    """`end` has send(frame) and recv(deadline_s); the station owns it. `number` tells it from the
    other stations of a guest, 1..250."""

    def __init__(self, name, end, number):
        self.name = name
        self.end = end
        self.number = number
        self.mac = f"02:57:a7:00:00:{number:02x}"
        self.address = f"10.8.1.{number}"
        self.books = {}
        self._guest = None  # MAC and address, in bytes
        self._pps = {}
        self._began_s = 0
        self._outbox = collections.deque()
        self._lock = threading.Lock()  # held while frames are sent
        self._reached = False
        self._sink_answered = False
        self._failure = None
        self._ending = False
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    # ---- the thread

    def _main(self):
        try:
            while not self._ending:
                with self._lock:
                    self._send_due()
                while (frame := self.end.recv(0)) is not None:
                    self._take(frame)
                time.sleep(ROUND_S)  # what paces the flows; nobody waits for this
        except (AssertionError, OSError, ValueError) as failure:
            self._failure = failure

    def _send_due(self):
        while self._outbox:
            self.end.send(self._outbox.popleft())
        for kind, pps in list(self._pps.items()):
            flow = self.books[kind].flow
            due = int((time.monotonic() - self._began_s) * pps) - flow.sent
            for _ in range(min(due, BURST)):
                port = ECHO_PORT if kind == "echo" else SINK_PORTS + self.number
                self.end.send(self._datagram(port, flow.sent))
                flow.sent += 1

    def _datagram(self, port, number):
        data = struct.pack("<QQ", number, 0) + PATTERN[number & 0xFF]
        return self._ip_frame(struct.pack("!HHHH", SOURCE_PORTS + self.number, port,
                                          8 + len(data), 0) + data)

    def _ip_frame(self, body):
        mac, address = self._guest
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, 17, 0) + \
            socket.inet_aton(self.address) + address
        header = header[:10] + struct.pack("!H", 0xFFFF ^ ones_sum(header)) + header[12:]
        return mac + mac_bytes(self.mac) + TYPE_IP + header + body

    def _take(self, frame):
        kind = frame[12:14]
        if kind == TYPE_ARP:
            self._answer_arp(frame)
        elif kind == TYPE_IP and frame[:6] == mac_bytes(self.mac) and frame[23] == 17:
            size = (frame[14] & 15) * 4
            source, port, length = struct.unpack_from("!HHH", frame, 14 + size)
            self._take_datagram(source, port, frame[14 + size + 8:14 + size + length])

    def _take_datagram(self, source, port, data):
        if source == SINK_PORTS + self.number:
            for name, count in json.loads(data).items():
                setattr(self.books["to"].flow, name, count)
            self._sink_answered = True
            return
        books = self.books.get("echo" if source == ECHO_PORT else "from")
        (number,) = struct.unpack_from("<Q", data)
        if number == ASK:
            self._reached = True
        if number == ASK or books is None:
            return
        if data[16:] != PATTERN[number & 0xFF]:
            books.flow.corrupt += 1
        else:
            books.take(number, time.monotonic())

    def _answer_arp(self, frame):
        operation, sender, asked = frame[20:22], frame[22:32], frame[38:42]
        if operation != b"\0\1" or asked != socket.inet_aton(self.address):
            return
        self.end.send(sender[:6] + mac_bytes(self.mac) + TYPE_ARP + frame[14:20] + b"\0\2" +
                      mac_bytes(self.mac) + asked + sender + bytes(18))

    # ---- for the test

    def check(self):
        """Fails where the thread has."""
        if self._failure is not None:
            raise AssertionError(f"station {self.name}: {self._failure!r}") from self._failure

    def set_guest(self, mac, address):
        self._guest = mac_bytes(mac), socket.inet_aton(address)

    def begin(self, rates):
        """`rates`: datagrams a second by kind."""
        self.books = {kind: Books() for kind in rates}
        self._began_s = time.monotonic()
        self._pps = {kind: pps for kind, pps in rates.items() if kind != "from"}

    def stop(self):
        """No more is sent; the counts of what was are final."""
        with self._lock:
            self._pps = {}
        self._sink_answered = False

    def sink_has_answered(self):
        """Since stop()."""
        return self._sink_answered

    def forget_reach(self):
        self._reached = False

    def reaches(self):
        """Whether the guest has answered since forget_reach(); asks at each call."""
        self.check()
        self._outbox.append(self._datagram(ECHO_PORT, ASK))
        return self._reached

    def ask_sink(self):
        """Has the books of "to" brought up to date with the guest's, a little later."""
        self.check()
        self._outbox.append(self._datagram(SINK_PORTS + self.number, ASK))

    def close(self):
        self._ending = True
        self._thread.join()
        self.end.close()


class Streams:
    """Flows between a running guest and stations: Streams(guest, stations, to=100, echo=100).

    `guest`: run(), start() and a MAC; another QEMU may be behind it when the flows end.
    """

    def __init__(self, guest, address, stations, **rates):
        self.guest = guest
        self.stations = stations
        self.rates = {"from" if kind == "back" else kind: pps for kind, pps in rates.items()}
        guest.run("killall guestagent 2>/dev/null; rm -f /tmp/source*", check=False)
        guest.start(f"guestagent echo {ECHO_PORT}")
        for station in stations:
            station.set_guest(guest.mac, address)
            if "to" in self.rates:
                guest.start(f"guestagent sink {SINK_PORTS + station.number}")
        wait_until(self._agents_listen, "the guest's agents to listen")
        self.wait_reached()  # then ARP is over, and bridges have learned
        for station in stations:
            station.begin(self.rates)
            if "from" in self.rates:
                guest.start(f"guestagent source {station.address} {SOURCE_PORTS + station.number} "
                            f"{self.rates['from']} > /tmp/source{station.number} & "
                            "echo $! >> /tmp/sources")

    def _agents_listen(self):
        listening = self.guest.run("netstat -lun")
        ports = [ECHO_PORT, *(SINK_PORTS + station.number for station in self.stations
                              if "to" in self.rates)]
        return all(f":{port} " in listening for port in ports)

    def check(self):
        for station in self.stations:
            station.check()

    def received(self):
        """How many datagrams have come here, of all flows."""
        self.check()
        return sum(books.flow.received for station in self.stations
                   for books in station.books.values())

    def wait_flowing(self, deadline_s=10):
        """Each flow that ends here has brought something from now on."""
        before = self._counts()
        wait_until(lambda: all(now > then for now, then in zip(self._counts(), before)),
                   "every flow to go on", deadline_s)

    def wait_reached(self, deadline_s=10):
        """Each station gets answers."""
        for station in self.stations:
            station.forget_reach()
            wait_until(station.reaches, f"{station.name} to reach the guest", deadline_s, 0.1)

    def _counts(self):
        self.check()
        return [books.flow.received for station in self.stations
                for kind, books in station.books.items() if kind != "to"]

    def end(self):
        """Stops all, waits for what is under way. Returns {(station's name, kind): Flow}."""
        self._end_sources()
        for station in self.stations:
            station.stop()
        # What has not come when this is over is lost.
        with contextlib.suppress(Timeout):
            wait_until(self._all_came, "late datagrams", LATE_S, step_s=0.05)
        for station in self.stations:
            if "to" in self.rates:
                assert station.sink_has_answered(), \
                    f"the guest's sink answers {station.name} no more: its count is not known"
            for kind, books in station.books.items():
                if kind != "to":
                    books.find_missing()
        return {(station.name, kind): books.flow for station in self.stations
                for kind, books in station.books.items()}

    def _all_came(self):
        for station in self.stations:
            if "to" in self.rates:
                station.ask_sink()
        return all(books.flow.received >= books.flow.sent and
                   (kind != "to" or station.sink_has_answered()) for station in self.stations
                   for kind, books in station.books.items())

    def _end_sources(self):
        if "from" not in self.rates:
            return
        self.guest.run("kill $(cat /tmp/sources)")
        for station in self.stations:
            path = f"/tmp/source{station.number}"
            text = wait_until(lambda path=path: self.guest.run(f"cat {path}"), "a source's report")
            report = json.loads(text)
            station.books["from"].flow.sent = report["sent"] - report["send_errors"]
