# SPDX-License-Identifier: BSD-3-Clause
"""Ethernet frames for the tests; each carries a token that tells it from all others."""

import itertools
import os
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"
TYPE_TEST = 0x88B5  # for local experiments
TYPE_VLAN = 0x8100
MIN_BYTES = 60

_run = os.urandom(6)
_serial = itertools.count()


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def token():
    return _run + struct.pack("!Q", next(_serial))


def frame(dst, src, vlan=None, priority=0, size=MIN_BYTES, payload=None, kind=TYPE_TEST):
    """A frame of `size` bytes (the tag comes on top). `vlan` 0 with a tag is a priority tag."""
    tag = b"" if vlan is None else struct.pack("!HH", TYPE_VLAN, priority << 13 | vlan)
    if payload is None:
        payload = token()
        payload += bytes(max(size - 14 - len(payload), 0))
    return mac_bytes(dst) + mac_bytes(src) + tag + struct.pack("!H", kind) + payload


def untagged(tagged):
    assert tagged[12:14] == struct.pack("!H", TYPE_VLAN)
    return tagged[:12] + tagged[16:]


def with_tag(plain, vlan, priority=0):
    return plain[:12] + struct.pack("!HH", TYPE_VLAN, priority << 13 | vlan) + plain[12:]


def same(received, sent):
    """Equal but for padding at the end, which short frames may get on the way."""
    return received[:len(sent)] == sent and not any(received[len(sent):])


def assert_got(received, *sent):
    """Exactly these frames came, in this order."""
    assert len(received) == len(sent), ([frame[:80] for frame in received], len(sent))
    for got, expected in zip(received, sent):
        assert same(got, expected), (got[:80], expected[:80])
