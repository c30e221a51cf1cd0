# SPDX-License-Identifier: BSD-3-Clause
"""Random packets with offload requests, as a guest's stack makes them."""

import struct
from dataclasses import dataclass

from frames import TYPE_TEST, mac_bytes

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_ECN = 0, 1, 4, 0x80
TCP, UDP = 6, 17
CWR, ACK_PSH = 0x80, 0x18
CSUM_AT = {TCP: 16, UDP: 6}
IP_MAX = 65535


def ones_sum(data):
    """The one's complement sum, folded."""
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")  # 2**16 is 1 modulo 0xffff
    return number % 0xFFFF or (0xFFFF if number else 0)


@dataclass
class Packet:
    frame: bytes
    flags: int = 0
    gso: int = GSO_NONE
    header_bytes: int = 0
    mss: int = 0
    start: int = 0
    offset: int = 0

    def header(self):
        return struct.pack("<BBHHHHH", self.flags, self.gso, self.header_bytes, self.mss,
                           self.start, self.offset, 0)

    def pieces(self):
        """Sizes of the frames that it may become, with a tag that may be added."""
        if self.gso == GSO_NONE:
            return [len(self.frame) + 4]
        payload = len(self.frame) - self.header_bytes
        count = -(-payload // self.mss)
        return [self.header_bytes + self.mss + 4] * count


def ethernet(rng, dst, src, tag):
    return (mac_bytes(dst) + mac_bytes(src) +
            (b"" if tag is None else struct.pack("!HH", 0x8100, rng.randrange(8) << 13 | tag)))


def plain(rng, dst, src, tag, size):
    """`size` counts the tag, too."""
    head = ethernet(rng, dst, src, tag) + struct.pack("!H", TYPE_TEST)
    return Packet(head + rng.randbytes(max(size - len(head), 0)))


def transport(rng, number, proto, payload_bytes, flags):
    """Header and payload; `number` tells the packet from all others. The checksum is 0."""
    if proto == UDP:
        return struct.pack("!HHHHI", 4000, 5000, 12 + payload_bytes, 0, number) + \
            rng.randbytes(payload_bytes)
    options = rng.choice([b"", bytes([1, 1, 8, 10]) + rng.randbytes(8)])
    return struct.pack("!HHIIBBHHH", 4000, 5000, number << 16 & 0xFFFFFFFF, 2000,
                       (20 + len(options)) // 4 << 4, flags, 8192, 0, 0) + \
        options + rng.randbytes(payload_bytes)


def ip_packet(rng, number, v6, proto, payload_bytes, tcp_flags=ACK_PSH, mss=0):
    """An IP packet with the sum of its pseudo header where the checksum goes. Returns it, the size
    of its IP header and that of its transport header."""
    body = transport(rng, number, proto, payload_bytes, tcp_flags)
    l4_header = 8 if proto == UDP else body[12] >> 2
    addresses = rng.randbytes(32 if v6 else 8)
    pseudo = ones_sum(addresses + struct.pack("!II", len(body), proto))
    at = CSUM_AT[proto]
    body = body[:at] + struct.pack("!H", pseudo) + body[at + 2:]
    if v6:
        size = len(body) if len(body) <= IP_MAX else 0
        ip = struct.pack("!IHBB", 6 << 28 | number & 0xFFFFF, size, proto, 64) + addresses
    else:
        options = b"" if mss else rng.choice([b"", b"", bytes([1, 1, 1, 0])])
        ip = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(body),
                         number & 0xFFFF, 0x4000, 64, proto, 0) + addresses + options
        ip = ip[:10] + struct.pack("!H", 0xFFFF ^ ones_sum(ip)) + ip[12:]
    return ip + body, len(ip), l4_header


def request(rng, number, dst, src, tag, v6, proto, payload_bytes, mss=0, ecn=False):
    """A packet whose checksum is left to others; with `mss` its segmentation, too."""
    link = ethernet(rng, dst, src, tag) + struct.pack("!H", 0x86DD if v6 else 0x0800)
    packet, ip_bytes, l4_bytes = ip_packet(rng, number, v6, proto, payload_bytes,
                                           ACK_PSH | (CWR if ecn else 0), mss)
    start = len(link) + ip_bytes
    if not mss:
        return Packet(link + packet, NEEDS_CSUM, start=start, offset=CSUM_AT[proto])
    gso = (GSO_TCPV6 if v6 else GSO_TCPV4) | (GSO_ECN if ecn else 0)
    return Packet(link + packet, NEEDS_CSUM, gso, start + l4_bytes, mss, start, CSUM_AT[proto])


def is_finished(frame):
    """Whether the checksum of a TCP or UDP frame is right; None for other frames."""
    at = 16 if frame[12:14] == b"\x81\0" else 12
    kind = frame[at:at + 2]
    ip = frame[at + 2:]
    if kind == b"\x08\0" and len(ip) >= 20:
        size, (total,) = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)
        addresses, proto, body = ip[12:20], ip[9], ip[size:total]
    elif kind == b"\x86\xdd" and len(ip) >= 40:
        addresses, proto = ip[8:40], ip[6]
        body = ip[40:40 + struct.unpack_from("!H", ip, 4)[0]]
    else:
        return None
    if proto not in CSUM_AT:
        return None
    return ones_sum(addresses + struct.pack("!II", len(body), proto) + body) == 0xFFFF
