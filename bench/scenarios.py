# SPDX-License-Identifier: BSD-3-Clause
"""What is measured. A scenario is a name, a sentence, and options of the generator.

To add one, add a line. `tso` starts the peers with segmentation offload; `half_of` names the
scenario whose rate, halved, a latency scenario runs at; `settings` are sluice's, of each of its two
ports, while its peers stay as they are; `variants` are compared with each other instead of with the
peers: sluice alone, the first one with each of the others. Rings have 256 entries, and receive buffers
2 KiB; where large frames would fill them before a burst is through, there are 1,024 to receive, the most
that QEMU gives a guest.
"""

from dataclasses import dataclass

PLAIN = ({}, {})  # settings of two ports
GUEST_MACS = ("02:53:4c:00:00:00", "02:53:4c:00:00:01")  # the generator's
CHECKED = tuple({"vlan": 100, "mac": mac, "learn": True} for mac in GUEST_MACS)


@dataclass(frozen=True)
class Variant:
    """sluice in another way: its ports' settings, more options of the generator, a capture."""

    name: str
    settings: tuple = PLAIN
    options: tuple = ()
    capture: bool = False


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    options: tuple
    tso: bool = False
    half_of: str = None
    settings: tuple = PLAIN
    variants: tuple = ()

    @property
    def in_gbps(self):
        """Large frames are a matter of bytes."""
        return self.name in ("9000", "64k-tso")


def _scenario(name, title, options, **more):
    return Scenario(name, title, tuple(options.split()), **more)


SCENARIOS = {s.name: s for s in (
    _scenario("64", "64 B one way", "--size 64"),
    _scenario("64-both", "64 B both ways", "--size 64 --both"),
    _scenario("two-segment", "64 B, header and data in a chain", "--size 64 --layout two"),
    _scenario("indirect", "64 B, indirect descriptors", "--size 64 --layout indirect"),
    _scenario("packed", "64 B, packed ring", "--size 64 --ring packed"),
    _scenario("packed-both", "64 B, packed ring, both ways", "--size 64 --ring packed --both"),
    _scenario("512", "512 B one way", "--size 512"),
    _scenario("1518", "1518 B one way", "--size 1518"),
    _scenario("9000", "9000 B one way", "--size 9000 --rx-queue-size 1024"),
    _scenario("imix", "IMIX, 1,000 flows; sluice: learning, VLAN, spoof check",
              "--size imix --flows 1000", settings=CHECKED),
    _scenario("dirty-log", "64 B with the dirty log on", "--size 64",
              variants=(Variant("sluice", options=("--log",)), Variant("without"))),
    _scenario("latency-64", "64 B at half of OVS's rate", "--size 64 --latency", half_of="64"),
    _scenario("latency-1518", "1518 B at half of OVS's rate", "--size 1518 --latency",
              half_of="1518"),
    _scenario("64k-tso", "64 KiB TSO", "--size 65000 --rx-queue-size 1024 --rx-buffer 4096", tso=True),
)}
