# SPDX-License-Identifier: BSD-3-Clause
"""The control channel as a client sees it: JSON-RPC 2.0, one object a line."""

import itertools
import json
import socket

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602


class Refused(Exception):
    """sluiced answered with an error object."""

    def __init__(self, error):
        super().__init__(f"{error.get('code')} {error.get('message')} {error.get('data')}")
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data") or {}
        self.text_code = self.data.get("code")
        self.param = self.data.get("param")


class Connection:
    """One connection. Lines of bytes below, calls above."""

    def __init__(self, path, deadline_s=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(deadline_s)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._ids = itertools.count(1)
        self._rest = b""
        self.events = []

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next message, or None when sluiced has closed the connection."""
        while b"\n" not in self._rest:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, data):
        """Sends bytes as they are and returns the next message."""
        self.send_bytes(data)
        return self.read()

    def send(self, method, params=None):
        """Sends a request; returns its id."""
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method}
        if params is not None:
            request["params"] = params
        self.send_bytes(json.dumps(request).encode() + b"\n")
        return number

    def call(self, method, **params):
        """Returns the result, or raises Refused. Events that come meanwhile are kept."""
        number = self.send(method, params or None)
        while True:
            answer = self.read()
            if answer is None:
                raise ConnectionError(f"sluiced hung up on {method}")
            if answer.get("method") == "event":
                self.events.append(answer["params"])
                continue
            assert answer["id"] == number, answer
            if "error" in answer:
                raise Refused(answer["error"])
            return answer["result"]

    def next_event(self, wanted=lambda event: True):
        """The next event for which wanted(event) holds."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if wanted(event):
                    return event
            message = self.read()
            assert message is not None and message.get("method") == "event", message
            self.events.append(message["params"])
