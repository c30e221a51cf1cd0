# SPDX-License-Identifier: BSD-3-Clause
"""How long a switch lets its guests wait: measures in milliseconds, from a front-end's side.

A front-end that is turned away or hung up on tries again at once, as often as it takes: that time
counts. Each measure raises Timeout where nothing came of it within DEADLINE_S.
"""

import contextlib
import itertools
import os
import time

from shared import GENERATOR_CPU
from vhostguest import VhostGuest
from vhostuser import GET_FEATURES, VERSION, connect, listen
from wait import Timeout

DEADLINE_S = 5
_ASK_FEATURES = (GET_FEATURES).to_bytes(4, "little") + (VERSION).to_bytes(4, "little") + bytes(4)
_ANSWER_BYTES = 20
_REFUSALS = (FileNotFoundError, ConnectionError, BlockingIOError, TimeoutError,
             AssertionError)  # the last: VhostGuest, of a message that was refused
_numbers = itertools.count()


@contextlib.contextmanager
def pinned():
    """Keeps this thread away from the forwarding core. Not while processes are started: they would
    inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {GENERATOR_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _until(attempt, what):
    """Calls attempt() until it returns something, and returns that."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with contextlib.suppress(*_REFUSALS):
            result = attempt()
            if result is not None:
                return result
        time.sleep(0.0002)
    raise Timeout(f"{what}: not within {DEADLINE_S} s")


def _ms_since(began):
    return (time.monotonic() - began) * 1e3


def _asks_features(peer):
    """True if the other side answers, False if it hangs up."""
    peer.settimeout(DEADLINE_S)
    try:
        peer.sendall(_ASK_FEATURES)
        got = b""
        while len(got) < _ANSWER_BYTES:
            more = peer.recv(_ANSWER_BYTES - len(got))
            if not more:
                return False
            got += more
        return True
    except ConnectionError:
        return False


def server_answer_ms(path):
    """Server mode: from connect() to the answer to GET_FEATURES."""
    began = time.monotonic()

    def attempt():
        with connect(path, DEADLINE_S) as peer:
            return _ms_since(began) if _asks_features(peer) else None

    return _until(attempt, f"an answer at {path}")


def client_answer_ms(path):
    """Client mode: from bind() and listen() to the answer to GET_FEATURES. Takes the socket away
    again, as a QEMU that ends."""
    began = time.monotonic()
    with listen(path) as listener:
        listener.settimeout(DEADLINE_S)

        def attempt():
            with listener.accept()[0] as peer:
                return _ms_since(began) if _asks_features(peer) else None

        try:
            return _until(attempt, f"a switch that connects to {path}")
        finally:
            os.unlink(path)


ANSWER_MS = {"server": server_answer_ms, "client": client_answer_ms}


class Pair:
    """Two guests, and the question how soon frames pass from one to the other. In client mode they
    listen all the time, as QEMU does."""

    def __init__(self, paths, client):
        self.paths = [str(path) for path in paths]
        self.listeners = [listen(path) for path in self.paths] if client else []
        for listener in self.listeners:
            listener.settimeout(DEADLINE_S)
        self.guests = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect(0)
        self.disconnect(1)
        for listener, path in zip(self.listeners, self.paths):
            listener.close()
            os.unlink(path)

    def connect(self, side):
        """A new guest on that side; tries until the switch has served it."""

        def attempt():
            if self.listeners:
                peer = self.listeners[side].accept()[0]
            else:
                peer = connect(self.paths[side], DEADLINE_S)
            return VhostGuest(peer)  # which owns the socket from here, also where it fails

        self.guests[side] = _until(attempt, f"a handshake at {self.paths[side]}")

    def connect_both(self):
        self.connect(0)
        self.connect(1)

    def disconnect(self, side):
        guest = self.guests.pop(side, None)
        if guest is not None:
            guest.close()

    def exchange(self):
        """Sends from side 0 until a frame arrives at side 1. Broadcasts need no learning."""
        number = next(_numbers).to_bytes(8, "little")
        frame = bytes.fromhex("ffffffffffff 525400000001 88b5") + number + bytes(50)

        def attempt():
            if self.guests[0].outstanding() < 200:
                self.guests[0].send(frame)
            got = self.guests[1].recv(0.001)
            return True if got is not None and got[14:22] == number else None

        _until(attempt, "a frame from guest to guest")

    def first_frame_ms(self):
        """From connect() of side 0 to its first frame at side 1, which has been there before."""
        self.disconnect(0)
        began = time.monotonic()
        self.connect(0)
        self.exchange()
        return _ms_since(began)

    def recovery_ms(self, restart):
        """From the call of restart(), which kills the switch and starts it again, until frames
        pass between guests that came back."""
        began = time.monotonic()
        restart()
        with pinned():
            for side in (0, 1):
                self.disconnect(side)
                self.connect(side)
            self.exchange()
        return _ms_since(began)
