# SPDX-License-Identifier: BSD-3-Clause
"""Checksum and segmentation requests: passed on to who can, finished for who cannot."""

import os
import struct

from frames import frame, with_tag
from vhostguest import CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4, PLAIN

MAC_A, MAC_B = "02:00:00:00:03:0a", "02:00:00:00:03:0b"
FULL = PLAIN | CSUM | GUEST_CSUM | HOST_TSO4 | GUEST_TSO4
GSO_NONE, GSO_TCPV4 = 0, 1
NEEDS_CSUM = 1
ETH, IP, TCP = 14, 20, 20
MSS = 1460


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def tcp_packet(payload):
    """An IPv4 TCP frame whose TCP checksum is left to the device (the pseudo header's sum)."""
    size = TCP + len(payload)
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    pseudo = ones_sum(addresses + struct.pack("!BBH", 0, 6, size & 0xFFFF))
    tcp = struct.pack("!HHIIBBHHH", 4000, 5000, 1000, 2000, 5 << 4, 0x18, 8192, pseudo, 0)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, IP + size, 77, 0x4000, 64, 6, 0) + addresses
    ip = ip[:10] + struct.pack("!H", 0xFFFF ^ ones_sum(ip)) + ip[12:]
    return frame(MAC_B, MAC_A, payload=ip + tcp + payload, kind=0x0800)


def request(gso=GSO_NONE, mss=0, tag=0):
    start = ETH + tag + IP
    return struct.pack("<BBHHHHH", NEEDS_CSUM, gso, start + TCP if gso else 0, mss, start, 16, 0)


def check_segment(segment):
    """Both checksums are right. Returns (sequence number, payload)."""
    ip, total = segment[ETH:ETH + IP], struct.unpack_from("!H", segment, ETH + 2)[0]
    tcp = segment[ETH + IP:ETH + total]
    assert ones_sum(ip) == 0xFFFF, "IP checksum"
    pseudo = ip[12:20] + struct.pack("!BBH", 0, 6, len(tcp))
    assert ones_sum(pseudo + tcp) == 0xFFFF, "TCP checksum"
    return struct.unpack_from("!I", tcp, 4)[0], tcp[TCP:]


def check_segments(segments, payload):
    joined = b""
    for segment in segments:
        assert len(segment) <= ETH + IP + TCP + MSS
        seq, part = check_segment(segment)
        assert seq == 1000 + len(joined)
        joined += part
    assert joined == payload


def test_checksum_request_passes_to_a_guest_that_takes_it(net):
    a, b = net.guest("a", features=FULL), net.guest("b", features=FULL, mac=MAC_B)
    sent = tcp_packet(os.urandom(500))
    net.send(a, sent, header=request())
    header, got = b.end.recv_with_header()
    b.taken += 1
    flags, gso, _, _, start, offset, _ = struct.unpack("<BBHHHHH", header)
    if flags & NEEDS_CSUM:
        assert (got, gso, start, offset) == (sent, GSO_NONE, ETH + IP, 16)
    else:
        check_segment(got)


def test_checksum_is_finished_for_a_plain_guest(net):
    a, b = net.guest("a", features=FULL), net.guest("b", mac=MAC_B)
    for size in (1, 500, 1459, 1460):
        payload = os.urandom(size)
        net.send(a, tcp_packet(payload), header=request())
        (got,) = net.received(b)
        assert check_segment(got) == (1000, payload)


def test_checksum_is_finished_for_an_uplink(net):
    a, uplink = net.guest("a", features=FULL), net.uplink("up")
    payload = os.urandom(700)
    net.send(a, tcp_packet(payload), header=request())
    (got,) = net.received(uplink)
    assert check_segment(got) == (1000, payload)


def received_pieces(net, member):
    """The segments of one large send, which is one frame in the counters."""
    segments = net.received(member)
    member.taken -= len(segments) - 1
    return segments


def whole(packet):
    """A frame of a large send apart from its TCP checksum: librte_vhost 22.11 writes a pseudo
    header's sum without the length there (rte_net_intel_cksum_prepare), whatever came in."""
    return packet[:ETH + IP + 16] + packet[ETH + IP + 18:]


def test_large_send_passes_whole_to_a_guest_that_takes_it(net):
    a, b = net.guest("a", features=FULL), net.guest("b", features=FULL, mac=MAC_B)
    payload = os.urandom(40000)
    net.send(a, tcp_packet(payload), header=request(GSO_TCPV4, MSS))
    header, got = b.end.recv_with_header()
    b.taken += 1
    flags, gso, _, mss, _, _, _ = struct.unpack("<BBHHHHH", header)
    assert flags & NEEDS_CSUM and (gso & 0x7F, mss) == (GSO_TCPV4, MSS)
    assert whole(got) == whole(tcp_packet(payload))


def test_large_send_is_cut_for_a_plain_guest(net):
    a, b = net.guest("a", features=FULL), net.guest("b", mac=MAC_B)
    payload = os.urandom(40000)
    net.send(a, tcp_packet(payload), header=request(GSO_TCPV4, MSS))
    segments = received_pieces(net, b)
    assert len(segments) == -(-len(payload) // MSS)
    check_segments(segments, payload)


def test_large_send_is_cut_for_an_uplink(net):
    a, uplink = net.guest("a", features=FULL), net.uplink("up")
    payload = os.urandom(20000)
    net.send(a, tcp_packet(payload), header=request(GSO_TCPV4, MSS))
    check_segments(net.received(uplink), payload)


def test_large_send_from_an_access_port_to_a_trunk(net):
    """The tag goes onto each segment."""
    a, trunk = net.guest("a", features=FULL, vlan=10), net.guest("b", trunks=[10])
    payload = os.urandom(10000)
    net.send(a, tcp_packet(payload), header=request(GSO_TCPV4, MSS))
    segments = received_pieces(net, trunk)
    assert {segment[12:16] for segment in segments} == {b"\x81\x00\x00\x0a"}
    check_segments([segment[:12] + segment[16:] for segment in segments], payload)


def test_large_send_with_a_tag_to_an_access_port(net):
    a, b = net.guest("a", features=FULL), net.guest("b", vlan=10, mac=MAC_B)
    payload = os.urandom(10000)
    net.send(a, with_tag(tcp_packet(payload), 10), header=request(GSO_TCPV4, MSS, tag=4))
    check_segments(received_pieces(net, b), payload)


def test_flood_of_a_large_send_to_both_kinds(net):
    """One copy whole, one in pieces, and the pieces do not spoil the whole."""
    a, able, plain = net.guest("a", features=FULL), net.guest("b", features=FULL), net.guest("c")
    payload = os.urandom(9000)
    net.send(a, tcp_packet(payload), header=request(GSO_TCPV4, MSS))
    check_segments(received_pieces(net, plain), payload)
    (got,) = net.received(able)
    assert whole(got) == whole(tcp_packet(payload))


def test_request_that_does_not_fit_its_frame(net):
    """Checksum places outside of the frame, segments of nothing: dropped, and life goes on."""
    a, b = net.guest("a", features=FULL), net.guest("b", mac=MAC_B)
    good = tcp_packet(os.urandom(100))
    lies = [
        struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_NONE, 0, 0, 60000, 16, 0),
        struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_NONE, 0, 0, ETH + IP, 60000, 0),
        struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_TCPV4, 65535, MSS, ETH + IP, 16, 0),
        struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_TCPV4, 0, 0, ETH + IP, 16, 0),
        struct.pack("<BBHHHHH", NEEDS_CSUM, 0x7E, 54, MSS, ETH + IP, 16, 0),
        struct.pack("<BBHHHHH", 0, GSO_TCPV4, 54, MSS, ETH + IP, 16, 0),
        b"\xff" * 12,
    ]
    for lie in lies:
        net.send(a, good, header=lie)
    net.received(b)
    net.send(a, good, header=request())
    (got,) = net.received(b)
    check_segment(got)
