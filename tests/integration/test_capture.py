# SPDX-License-Identifier: BSD-3-Clause
"""Captures: what passes a port, in a pcapng file."""

import grp
import os
import shutil
import subprocess
import time

import pytest

from frames import BROADCAST, assert_got, frame, same, untagged, with_tag
from pcapng import Pcapng
from proc import acting_as
from rpc import INVALID_PARAMS, Connection, Refused
from vhostguest import VhostGuest
from wait import wait_until

MAC_A, MAC_B, MAC_C = (f"02:00:00:00:09:0{i}" for i in "abc")
NOBODY = 65534


@pytest.fixture
def file(directory):
    return directory / "capture.pcapng"


@pytest.fixture
def pair(net):
    return net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)


def start(net, member, file, **params):
    return net.sluiced.rpc("capture.start", port=member.name, file=str(file), **params)


def stop(net, member, file):
    """Ends the capture; returns the file's contents, which must agree with the result."""
    result = net.sluiced.rpc("capture.stop", port=member.name)
    written = Pcapng(file)
    assert result["file"] == str(file) and result["bytes"] == file.stat().st_size
    assert (result["packets"], result["lost"]) == (len(written.packets), written.lost)
    return written


def assert_written(written, *expected):
    """Exactly these frames, each with its direction."""
    assert [one.direction for one in written.packets] == [way for way, _ in expected]
    for got, (_, sent) in zip(written.packets, expected):
        assert same(got.data, sent) and got.size == len(got.data)


def test_both_directions(net, pair, file):
    a, b = pair
    one, other, long = frame(MAC_B, MAC_A), frame(MAC_A, MAC_B), frame(MAC_B, MAC_A, size=1514)
    before = time.time_ns()
    start(net, a, file)
    assert file.stat().st_mode & 0o777 == 0o600
    for member, sent in ((a, one), (b, other), (a, long)):
        net.send(member, sent)
    written = stop(net, a, file)
    after = time.time_ns()
    assert_written(written, ("in", one), ("out", other), ("in", long))
    assert (written.name, written.lost) == (a.name, 0)
    times = [packet.time_ns for packet in written.packets]
    assert times == sorted(times)
    assert before - 10**9 < times[0] and times[-1] < after + 10**9
    assert_got(net.received(b), one, long)
    assert_got(net.received(a), other)


def test_nothing_before_or_after(net, pair, file):
    a, _ = pair
    net.send(a, frame(MAC_B, MAC_A))
    start(net, a, file)
    inside = frame(MAC_B, MAC_A)
    net.send(a, inside)
    written = stop(net, a, file)
    net.send(a, frame(MAC_B, MAC_A))
    assert_written(written, ("in", inside))
    assert_written(Pcapng(file), ("in", inside))


def test_other_ports_frames_are_not_in_it(net, pair, file):
    a, b = pair
    c = net.guest("c", mac=MAC_C)
    start(net, c, file)
    net.send(a, frame(MAC_B, MAC_A))
    to_all = frame(BROADCAST, MAC_B)
    net.send(b, to_all)
    assert_written(stop(net, c, file), ("out", to_all))


def test_frames_are_as_the_port_has_them(net, directory):
    """An access port's without tag, a trunk's with it."""
    access, trunk = net.guest("a", mac=MAC_A, vlan=7), net.guest("b", mac=MAC_B)
    plain, tagged = frame(MAC_B, MAC_A), frame(MAC_A, MAC_B, vlan=7)
    start(net, access, directory / "access")
    start(net, trunk, directory / "trunk")
    net.send(access, plain)
    net.send(trunk, tagged)
    assert_written(stop(net, access, directory / "access"),
                   ("in", plain), ("out", untagged(tagged)))
    assert_written(stop(net, trunk, directory / "trunk"),
                   ("out", with_tag(plain, 7)), ("in", tagged))


def test_dropped_frames_are_seen(net, pair, file):
    """What a guest sends is there, whatever becomes of it: that is what a capture is for."""
    a, _ = pair
    start(net, a, file)
    spoofed = frame(MAC_B, MAC_C)
    net.send(a, spoofed)
    assert_written(stop(net, a, file), ("in", spoofed))


def test_frame_in_many_descriptors(net, pair, file):
    a, _ = pair
    start(net, a, file)
    sent = frame(MAC_B, MAC_A, size=1200, payload=bytes(i % 251 for i in range(1186)))
    net.send(a, sent, cut=[12, 5, 7, 1] + [20] * 40)
    assert_written(stop(net, a, file), ("in", sent))


def test_snaplen_cuts_frames(net, pair, file):
    a, _ = pair
    assert start(net, a, file, snaplen=40)["snaplen"] == 40
    short, long = frame(MAC_B, MAC_A, payload=b"x" * 20), frame(MAC_B, MAC_A, size=1000)
    net.send(a, short)
    net.send(a, long)
    written = stop(net, a, file)
    assert written.snaplen == 40
    assert [packet.size for packet in written.packets] == [34, 1000]
    assert [packet.data for packet in written.packets] == [short, long[:40]]


def test_full_file_ends_the_capture(net, pair, file):
    a, b = pair
    with Connection(net.sluiced.control) as subscription:
        subscription.call("events.subscribe", types=["capture.stopped"])
        start(net, a, file, max_bytes=4096)
        for _ in range(10):
            net.send(a, frame(MAC_B, MAC_A, size=1000))
        event = subscription.next_event()
    assert (event["port"], event["file"], event["packets"]) == (a.name, str(file), 3)
    assert "max_bytes" in event["reason"]
    assert file.stat().st_size <= 4096
    (listed,) = net.sluiced.rpc("capture.list")
    assert not listed["running"] and listed["packets"] == 3
    written = stop(net, a, file)
    assert [packet.size for packet in written.packets] == [1000] * 3
    assert net.sluiced.rpc("capture.list") == []
    assert len(net.received(b)) == 10


@pytest.mark.parametrize("datapath", ["direct", "library"])
def test_either_datapath(net, file, datapath):
    a, b = net.guest("a", mac=MAC_A, datapath=datapath), net.guest("b", mac=MAC_B)
    start(net, a, file)
    one, other = frame(MAC_B, MAC_A), frame(MAC_A, MAC_B)
    net.send(a, one)
    net.send(b, other)
    assert_written(stop(net, a, file), ("in", one), ("out", other))


def test_uplink(make_net, file):
    net = make_net()
    a, uplink = net.guest("a", mac=MAC_A), net.uplink("up")
    start(net, uplink, file)
    out, back = frame(BROADCAST, MAC_A), frame(MAC_A, MAC_C)
    net.send(a, out)
    net.send(uplink, back)
    written = stop(net, uplink, file)
    # The kernel says something on a new interface, too.
    ours = [packet for packet in written.packets if packet.data[12:14] == b"\x88\xb5"]
    assert [packet.direction for packet in ours] == ["out", "in"]
    assert same(ours[0].data, out) and same(ours[1].data, back)


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump here")
def test_tcpdump_reads_it(net, pair, file):
    a, b = pair
    start(net, a, file)
    net.send(a, frame(MAC_B, MAC_A, vlan=5))
    net.send(b, frame(MAC_A, MAC_B))
    stop(net, a, file)
    done = subprocess.run(["tcpdump", "-e", "-nn", "-r", str(file)], capture_output=True,
                          text=True, timeout=20, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("\t")]
    assert len(lines) == 2 and MAC_A in lines[0] and "vlan 5" in lines[0], done


def test_list_and_card(net, pair, file):
    a, _ = pair
    assert net.sluiced.rpc("capture.list") == []
    start(net, a, file)
    net.send(a, frame(MAC_B, MAC_A))
    wait_until(lambda: net.sluiced.rpc("capture.list")[0]["packets"] == 1, "the frame's copy")
    (listed,) = net.sluiced.rpc("capture.list")
    assert (listed["port"], listed["file"], listed["running"]) == (a.name, str(file), True)
    assert listed["bytes"] == file.stat().st_size  # what is counted is in the file
    assert str(file) in net.sluiced.ctl("capture", "list").stdout
    stop(net, a, file)


def test_refusals_leave_everything_alone(net, pair, directory):
    a, b = pair
    there, link, fresh = directory / "there", directory / "link", directory / "fresh"
    there.write_text("precious", encoding="ascii")
    link.symlink_to(fresh)
    for path, code in ((there, "file-exists"), (link, "file-exists"), (directory, "file-exists"),
                       (directory / "no" / "such", "file-refused")):
        refused = net.sluiced.refusal("capture.start", port=a.name, file=str(path))
        assert (refused.text_code, refused.param) == (code, "file"), refused
        assert str(path) in refused.message
    refused = net.sluiced.refusal("capture.start", port=a.name, file="relative")
    assert (refused.code, refused.param) == (INVALID_PARAMS, "file")
    refused = net.sluiced.refusal("capture.start", port="nosuch", file=str(fresh))
    assert (refused.text_code, refused.param) == ("no-such-port", "port")
    assert there.read_text(encoding="ascii") == "precious" and not fresh.exists()
    for name, code in ((a.name, "no-such-capture"), ("nosuch", "no-such-port")):
        assert net.sluiced.refusal("capture.stop", port=name).text_code == code
    start(net, a, fresh)
    refused = net.sluiced.refusal("capture.start", port=a.name, file=str(directory / "second"))
    assert refused.text_code == "capture-runs" and str(fresh) in refused.message
    assert not (directory / "second").exists()
    start(net, b, directory / "b")  # another port's is another matter
    stop(net, a, fresh)
    stop(net, b, directory / "b")


def test_only_the_owner_may_capture(start_sluiced, file):
    group = grp.getgrnam("kvm")
    daemon = start_sluiced("--group", group.gr_name)
    daemon.rpc("bridge.add", name="br")
    daemon.rpc("port.attach", name="p", bridge="br")
    with acting_as(NOBODY, group.gr_gid):
        connection = Connection(daemon.control)
    with connection:
        with pytest.raises(Refused) as refused:
            connection.call("capture.start", port="p", file=str(file))
        assert connection.call("capture.list") == []
    assert refused.value.text_code == "not-permitted"
    assert not file.exists()


def test_detached_port_ends_its_capture(sluiced, file):
    sluiced.rpc("bridge.add", name="cap")
    guest = VhostGuest.at(sluiced.rpc("port.attach", name="p", bridge="cap")["socket"])
    sluiced.wait_state("p", "up")
    sluiced.rpc("capture.start", port="p", file=str(file))
    sent = frame(BROADCAST, MAC_A)
    guest.send(sent)
    sluiced.wait_stat("p", "tx_dropped")
    sluiced.rpc("port.detach", name="p")
    written = Pcapng(file)
    assert_written(written, ("in", sent))
    assert written.lost == 0 and sluiced.rpc("capture.list") == []
    guest.close()
    sluiced.rpc("bridge.del", name="cap")


def test_guest_that_comes_and_goes_is_captured_on(net, file):
    """The capture is the port's, not the guest's."""
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    start(net, a, file)
    first, second = frame(MAC_B, MAC_A), frame(MAC_B, MAC_A)
    net.send(a, first)
    a.end.close()
    net.sluiced.wait_state(a.name, "waiting")
    a.end = VhostGuest.at(net.sluiced.port(a.name)["socket"])
    net.sluiced.wait_state(a.name, "up")
    net.send(a, second)
    assert_written(stop(net, a, file), ("in", first), ("in", second))
    assert_got(net.received(b), first, second)


def test_stop_finishes_files(start_sluiced, file):
    daemon = start_sluiced()
    daemon.rpc("bridge.add", name="br")
    guest = VhostGuest.at(daemon.rpc("port.attach", name="p", bridge="br")["socket"])
    daemon.wait_state("p", "up")
    daemon.rpc("capture.start", port="p", file=str(file))
    sent = frame(BROADCAST, MAC_A)
    guest.send(sent)
    daemon.wait_stat("p", "tx_dropped")
    assert daemon.stop() == 0
    written = Pcapng(file)
    assert_written(written, ("in", sent))
    assert written.lost == 0
    guest.close()
    daemon.start()
    assert daemon.rpc("capture.list") == []  # a capture does not come back by itself


def test_no_descriptor_or_memory_leaks(sluiced, directory):
    sluiced.rpc("bridge.add", name="leak")
    sluiced.rpc("port.attach", name="p", bridge="leak")

    def round_trip(number):
        sluiced.rpc("capture.start", port="p", file=str(directory / str(number)))
        sluiced.rpc("capture.stop", port="p")

    def held():
        with open(f"/proc/{sluiced.process.pid}/status", encoding="ascii") as status:
            (rss,) = (int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        return len(os.listdir(f"/proc/{sluiced.process.pid}/fd")), rss

    for number in range(3):
        round_trip(number)
    fds, rss_kib = held()
    for number in range(3, 43):
        round_trip(number)
    assert held()[0] <= fds
    assert held()[1] < rss_kib + 20 * 1024  # one capture's rings have 4 MiB
    sluiced.rpc("port.detach", name="p")
    sluiced.rpc("bridge.del", name="leak")
