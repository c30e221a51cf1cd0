# SPDX-License-Identifier: BSD-3-Clause
"""The vhost-user protocol from the front-end's side: one connection and its messages."""

import select
import socket
import struct

# requests
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_LOG_BASE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 6, 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL = 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
VERSION, NEED_REPLY = 1, 8
PROTOCOL_MQ, PROTOCOL_LOG, PROTOCOL_REPLY_ACK = 1 << 0, 1 << 1, 1 << 3

# virtio features
CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, GUEST_ECN = 1 << 0, 1 << 1, 1 << 7, 1 << 8, 1 << 9
HOST_TSO4, HOST_TSO6, HOST_ECN = 1 << 11, 1 << 12, 1 << 13
MRG_RXBUF, MQ, LOG_ALL = 1 << 15, 1 << 22, 1 << 26
INDIRECT, EVENT_IDX, PROTOCOL_FEATURES = 1 << 28, 1 << 29, 1 << 30
VERSION_1, PACKED, IN_ORDER = 1 << 32, 1 << 34, 1 << 35

PROTOCOL_WANTED = PROTOCOL_MQ | PROTOCOL_LOG | PROTOCOL_REPLY_ACK


def connect(path, deadline_s=5):
    """Connects to a server port's socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(deadline_s)
    try:
        peer.connect(str(path))
    except OSError:
        peer.close()
        raise
    return peer


def listen(path):
    """Makes the socket of a port in client mode."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


class FrontEnd:
    """Takes ownership of `peer`, a connected socket."""

    def __init__(self, peer):
        self.peer = peer
        self.protocol = 0
        peer.settimeout(5)

    def negotiate(self, features):
        """`features`: those to accept, of what is offered; `offered` tells what that was."""
        self.offered = self.ask(GET_FEATURES)
        missing = (features | PROTOCOL_FEATURES) & ~self.offered
        assert not missing, f"features {missing:#x} are not offered"
        self.features = features | PROTOCOL_FEATURES
        protocol = self.ask(GET_PROTOCOL_FEATURES) & PROTOCOL_WANTED
        self.tell(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        self.protocol = protocol
        self.queues_max = self.ask(GET_QUEUE_NUM)
        self.tell(SET_OWNER)
        self.set_features(self.features)

    def set_features(self, features):
        self.tell(SET_FEATURES, struct.pack("<Q", features))

    def enable(self, vring, on):
        self.tell(SET_VRING_ENABLE, struct.pack("<II", vring, on))

    def tell(self, request, payload=b"", fds=(), answered=False):
        """A message without an answer of its own (or with one that does not matter: `answered`);
        waits for the acknowledgement if agreed."""
        ack = answered or bool(self.protocol & PROTOCOL_REPLY_ACK)
        flags = VERSION | (NEED_REPLY if ack else 0)
        socket.send_fds(self.peer, [struct.pack("<III", request, flags, len(payload)) + payload],
                        list(fds))
        if answered:
            self._answer(request)
        elif ack:
            (status,) = struct.unpack("<Q", self._answer(request))
            assert status == 0, f"request {request} was refused"

    def ask(self, request, payload=b""):
        """A message whose answer is a u64."""
        self.peer.sendall(struct.pack("<III", request, VERSION, len(payload)) + payload)
        return struct.unpack("<Q", self._answer(request))[0]

    def stop_vring(self, vring):
        """GET_VRING_BASE: stops the ring. Returns where it stands."""
        answer = self.ask(GET_VRING_BASE, struct.pack("<II", vring, 0))
        assert answer & 0xFFFFFFFF == vring
        return answer >> 32

    def _answer(self, request):
        header = self._read(12)
        answered, _, size = struct.unpack("<III", header)
        assert answered == request, f"the answer to {request} is one to {answered}"
        return self._read(size)

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.peer.recv(size - len(data))
            if not more:
                raise ConnectionError("the back-end hung up")
            data += more
        return data

    def hung_up(self, deadline_s=5):
        """True as soon as the back-end has closed the connection."""
        ready, _, _ = select.select([self.peer], [], [], deadline_s)
        try:
            return bool(ready) and self.peer.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True
