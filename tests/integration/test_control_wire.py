# SPDX-License-Identifier: BSD-3-Clause
"""The bytes on the control socket: framing, envelopes, limits, many at once, who may call."""

import contextlib
import grp
import json
import os

import pytest

from proc import acting_as
from rpc import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Connection, Refused
from wait import wait_until

LIST = b'{"jsonrpc":"2.0","id":7,"method":"bridge.list"}\n'
NOBODY = 65534


@pytest.fixture
def connection(sluiced):
    with Connection(sluiced.control) as one:
        yield one


def open_fds(sluiced):
    return len(os.listdir(f"/proc/{sluiced.process.pid}/fd"))


def resident_kib(sluiced):
    with open(f"/proc/{sluiced.process.pid}/status", encoding="ascii") as status:
        (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1])


@pytest.mark.parametrize("line,code", [
    (b"nonsense", PARSE_ERROR),
    (b"{", PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.list"', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.list"}}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.list"} {}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.list","method":"port.list"}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"x","name":"y"}}',
     PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"\xff\xfe"}}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"\xc0\x80"}}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"\\ud800"}}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"a\0b"}}', PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"bridge.add","params":{"name":"x","mac_age_s":1e999}}',
     PARSE_ERROR),
    (b"\0" * 50, PARSE_ERROR),
    (b"[" * 100000, PARSE_ERROR),
    (b'{"a":' * 50000, PARSE_ERROR),
    (b"1", INVALID_REQUEST),
    (b'"bridge.list"', INVALID_REQUEST),
    (b"null", INVALID_REQUEST),
    (b"[]", INVALID_REQUEST),
    (b"{}", INVALID_REQUEST),
    (b'[{"jsonrpc":"2.0","id":1,"method":"bridge.list"}]', INVALID_REQUEST),
    (b'{"id":1,"method":"bridge.list"}', INVALID_REQUEST),
    (b'{"jsonrpc":"1.0","id":1,"method":"bridge.list"}', INVALID_REQUEST),
    (b'{"jsonrpc":2.0,"id":1,"method":"bridge.list"}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"method":5}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":{},"method":"bridge.list"}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":[1],"method":"bridge.list"}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":true,"method":"bridge.list"}', INVALID_REQUEST),
], ids=lambda value: value[:60].decode(errors="replace") if isinstance(value, bytes) else None)
def test_malformed_line(sluiced, line, code):
    """jansson cannot tell a duplicate key or bad UTF-8 from bad syntax; a newcomer may."""
    before = sluiced.state()
    with Connection(sluiced.control) as connection:
        answer = connection.ask(line + b"\n")
        assert answer["error"]["code"] in ({code, INVALID_PARAMS, INVALID_REQUEST}
                                           if code == PARSE_ERROR else {code}), answer
        assert answer["jsonrpc"] == "2.0" and answer["error"]["message"]
        assert connection.ask(LIST)["id"] == 7, "the connection goes on after it"
    assert sluiced.state() == before
    assert sluiced.alive()


def test_ids_come_back_as_they_were(connection):
    for number in (0, -1, 2**53, "text", "ä", ""):
        request = {"jsonrpc": "2.0", "id": number, "method": "bridge.list"}
        answer = connection.ask(json.dumps(request).encode() + b"\n")
        assert answer["id"] == number and type(answer["id"]) is type(number)
        assert answer["jsonrpc"] == "2.0" and "error" not in answer


def test_notification_has_no_answer_but_an_effect(sluiced, connection):
    connection.send_bytes(b'{"jsonrpc":"2.0","method":"bridge.add","params":{"name":"quiet"}}\n'
                          b'{"jsonrpc":"2.0","method":"bridge.add","params":{"name":""}}\n'
                          b'{"jsonrpc":"2.0","method":"no.such"}\n')
    answer = connection.ask(LIST)
    assert answer["id"] == 7
    assert "quiet" in [bridge["name"] for bridge in answer["result"]]
    sluiced.rpc("bridge.del", name="quiet")


def test_requests_in_pieces_and_in_heaps(connection):
    for byte in LIST:
        connection.send_bytes(bytes([byte]))
    assert connection.read()["id"] == 7
    connection.send_bytes(LIST * 50)
    assert [connection.read()["id"] for _ in range(50)] == [7] * 50


def test_half_a_line_and_silence_holds_up_nobody(sluiced):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Connection(sluiced.control)) for _ in range(20)]
        for one in silent:
            one.send_bytes(LIST[:20])
        assert sluiced.alive()
        assert silent[0].ask(LIST[20:])["id"] == 7


def test_line_of_the_largest_size(connection):
    line = LIST[:-2].ljust((1 << 20) - 2) + b"}\n"
    assert len(line) == 1 << 20
    assert connection.ask(line)["id"] == 7


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_line_too_long(sluiced, ending):
    """Answered or cut off, but not swallowed into memory without end."""
    before = resident_kib(sluiced)
    with Connection(sluiced.control) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send_bytes(b"x" * (1 << 20))
            connection.send_bytes(b"y" * (15 << 20) + ending)
        answer = connection.read()
        assert answer is None or answer["error"]["code"] in (PARSE_ERROR, INVALID_REQUEST)
    assert sluiced.alive()
    wait_until(lambda: resident_kib(sluiced) < before + 8192, "the memory to be given back")


def test_ten_thousand_requests_on_one_connection(sluiced, connection):
    connection.send_bytes(LIST * 100)
    for _ in range(100):
        assert connection.read()["id"] == 7
    before = resident_kib(sluiced)
    for _ in range(100):
        connection.send_bytes(LIST * 100)
        for _ in range(100):
            assert connection.read()["id"] == 7
    assert resident_kib(sluiced) < before + 2048


def test_client_that_does_not_read(sluiced):
    """Answers pile up in the kernel and then with us: bounded, and others are served."""
    before = resident_kib(sluiced)
    with Connection(sluiced.control, deadline_s=2) as deaf:
        with contextlib.suppress(OSError):
            for _ in range(2000):
                deaf.send_bytes(b'{"jsonrpc":"2.0","id":7,"method":"numa.show"}\n' * 100)
        assert sluiced.alive()
        assert resident_kib(sluiced) < before + 65536
    assert sluiced.alive()


def test_thousand_connections(sluiced):
    before = open_fds(sluiced)
    answered = 0
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(1000):
            with contextlib.suppress(OSError):
                held.append(stack.enter_context(Connection(sluiced.control)))
        for one in held:
            with contextlib.suppress(OSError):
                answered += one.ask(LIST) is not None
        assert answered >= 100
        assert sluiced.process.alive()
    wait_until(sluiced.answers, "sluiced to answer again")
    wait_until(lambda: open_fds(sluiced) <= before, "the descriptors to be closed")


def test_connections_that_come_and_go(sluiced):
    before = open_fds(sluiced)
    for i in range(500):
        with Connection(sluiced.control) as one:
            if i % 3:
                one.send_bytes(LIST[: i % len(LIST)])
    assert sluiced.alive()
    wait_until(lambda: open_fds(sluiced) <= before, "the descriptors to be closed")


# ---- who may call

METHODS_THAT_READ = ["daemon.version", "bridge.list", "uplink.list", "port.list", "port.stats",
                     "port.next_name", "lcore.list", "numa.show", "host.capabilities", "capture.list",
                     "events.subscribe"]


def call_as(sluiced, uid, gid, method, groups=(), **params):
    os.chmod(sluiced.control, 0o666)  # or the kernel would refuse, before sluiced is asked
    with acting_as(uid, gid, groups):
        connection = Connection(sluiced.control)
    with connection:
        return connection.call(method, **params)


@pytest.fixture
def group():
    """Any group but root's, as sluiced's --group."""
    return next(entry for entry in grp.getgrall() if entry.gr_name == "kvm")


@pytest.mark.parametrize("method", METHODS_THAT_READ + ["bridge.add", "daemon.stop"])
def test_stranger_is_refused(sluiced, method):
    before = sluiced.state()
    params = {"name": "strange"} if method == "bridge.add" else {}
    with pytest.raises(Refused) as refused:
        call_as(sluiced, NOBODY, NOBODY, method, **params)
    assert refused.value.text_code == "not-permitted"
    assert sluiced.state() == before


def test_socket_is_closed_to_strangers(start_sluiced):
    daemon = start_sluiced()
    assert os.stat(daemon.control).st_mode & 0o777 == 0o660
    with acting_as(NOBODY, NOBODY), pytest.raises(PermissionError):
        Connection(daemon.control)


def test_group_may_call_everything(start_sluiced, group):
    daemon = start_sluiced("--group", group.gr_name)
    assert os.stat(daemon.control).st_gid == group.gr_gid
    call_as(daemon, NOBODY, group.gr_gid, "bridge.add", name="ours")
    call_as(daemon, NOBODY, NOBODY, "bridge.add", groups=[group.gr_gid], name="ours2")
    assert [bridge["name"] for bridge in daemon.rpc("bridge.list")] == ["ours", "ours2"]


def test_group_may_be_limited_to_reading(start_sluiced, scratch, group):
    conf = scratch() / "sluice.conf"
    conf.write_text(f'group = "{group.gr_name}"\ngroup-access = "read"\n')
    daemon = start_sluiced("-c", conf)
    for method in METHODS_THAT_READ:
        call_as(daemon, NOBODY, group.gr_gid, method)
    for method, params in (("bridge.add", {"name": "new"}), ("daemon.stop", {})):
        with pytest.raises(Refused) as refused:
            call_as(daemon, NOBODY, group.gr_gid, method, **params)
        assert refused.value.text_code == "not-permitted"
    assert daemon.rpc("bridge.list") == []
