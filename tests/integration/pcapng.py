# SPDX-License-Identifier: BSD-3-Clause
"""A reader of pcapng files with one section and one Ethernet interface, as sluiced writes them."""

import struct

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6


class Packet:
    def __init__(self, body):
        interface, high, low, captured, self.size = struct.unpack_from("<IIIII", body)
        assert interface == 0
        self.time_ns = high << 32 | low
        self.data = body[20:20 + captured]
        (flags,) = struct.unpack("<I", options(body[20 + (captured + 3) // 4 * 4:])[2])
        self.direction = {1: "in", 2: "out"}[flags & 3]


def options(data):
    """{code: value}"""
    found, at = {}, 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert at + 4 == len(data), "options behind their end"
            return found
        found[code] = data[at + 4:at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
    raise AssertionError("the options have no end")


def blocks(data):
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0 and at + size <= len(data), "a block is cut off"
        assert struct.unpack_from("<I", data, at + size - 4)[0] == size
        yield kind, data[at + 8:at + size - 4]
        at += size


class Pcapng:
    """`lost` is None as long as the file is not finished."""

    def __init__(self, path):
        self.packets, self.lost = [], None
        kinds = iter(blocks(path.read_bytes()))
        kind, body = next(kinds)
        assert kind == SECTION and struct.unpack_from("<IHH", body) == (0x1A2B3C4D, 1, 0)
        kind, body = next(kinds)
        linktype, _, self.snaplen = struct.unpack_from("<HHI", body)
        assert (kind, linktype) == (INTERFACE, 1)
        about = options(body[8:])
        self.name, resolution = about[2].decode(), about[9]
        assert resolution == b"\x09"
        for kind, body in kinds:
            assert self.lost is None, "something behind the end"
            if kind == PACKET:
                self.packets.append(Packet(body))
            else:
                assert kind == STATISTICS
                numbers = options(body[12:])
                received, self.lost = (struct.unpack("<Q", numbers[code])[0] for code in (4, 5))
                assert received == len(self.packets) + self.lost
