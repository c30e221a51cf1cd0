# SPDX-License-Identifier: BSD-3-Clause
"""Drain, park, resume and redirect, as an orchestrator steers them and as events tell of them."""

import json
import signal
import subprocess

import pytest

from frames import BROADCAST, assert_got, frame, mac_bytes, with_tag
from net import Member
from rpc import Connection, Refused
from sluice import SLUICECTL
from test_rarp import rarp
from vhostguest import VhostGuest
from wait import wait_until

A, B, OUTSIDE = "02:00:00:00:0d:0a", "02:00:00:00:0d:0b", "02:00:00:00:0d:0c"
DATAPATHS = pytest.mark.parametrize("datapath", ["direct", "library"])


@pytest.fixture
def events(sluiced):
    """A connection that has subscribed to all events; expect() takes the next of a type."""
    with Connection(sluiced.control) as connection:
        connection.call("events.subscribe")
        connection.expect = lambda kind: connection.next_event(lambda event: event["type"] == kind)
        yield connection


def numbered(src, dst, n):
    return [frame(dst, src, size=60 + i) for i in range(n)]


def receive(guest, n):
    frames = [guest.recv() for _ in range(n)]
    assert None not in frames, frames
    return frames


def send_all(net, sender, frames):
    for each in frames:
        net.send(sender, each)


def come_back(net, name, **options):
    """Another front-end on a port that its guest has left."""
    port = net.sluiced.port(f"{net.bridge}-{name}")
    member = Member(port["name"], VhostGuest.at(port["socket"], **options), None, False)
    net.members.append(member)
    return member


def leave(net, guest):
    """The front-end goes away, and what is for its guest from now on is parked."""
    guest.end.close()
    net.members.remove(guest)
    net.sluiced.wait_state(guest.name, "waiting")


@DATAPATHS
def test_drain_parks_and_resume_gives_all_in_order(net, events, datapath):
    a, b = net.guest("a", mac=A, datapath=datapath), net.guest("b", mac=B, datapath=datapath)
    before, parked = numbered(A, B, 30), numbered(B, A, 40)
    send_all(net, a, before)
    assert_got(receive(b, 30), *before)

    drained = net.sluiced.rpc("port.drain", name=a.name)
    assert drained["state"] == "drained" and drained["parked"] == 0, drained
    assert net.sluiced.port(a.name)["state"] == "drained"
    assert all(queue["drained"] for queue in net.sluiced.port(a.name)["queues"])
    send_all(net, b, parked)
    wait_until(lambda: net.stats(a)["parked"] == 40, "40 parked frames")
    a.end.send(numbered(A, B, 1)[0])
    a.sent += 1
    assert net.received(b) == []  # for which the beacon makes a mark, which is parked as well
    assert a.recv(0) is None

    assert net.sluiced.rpc("port.resume", name=a.name)["state"] == "up"
    last = numbered(B, A, 1)
    send_all(net, b, last)
    got = receive(a, 42)
    assert_got(got[:40] + got[41:], *parked, *last)
    assert b.recv() is not None
    assert net.stats(a)["unparked"] >= 41 and net.stats(a)["parked"] == 0
    assert events.expect("port.draining")["then"] == "park"
    assert events.expect("port.drained")["port"] == a.name
    assert events.expect("port.resumed")["reason"] == "asked"
    assert events.expect("port.unparked")["frames"] > 0


def answers_to(connection, name, *methods):
    """Of requests that are one write: {method: result, or Refused}."""
    lines = [{"jsonrpc": "2.0", "id": method, "method": method, "params": {"name": name}}
             for method in methods]
    connection.send_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    answers = [connection.read() for _ in methods]
    return {answer["id"]: Refused(answer["error"]) if "error" in answer else answer["result"]
            for answer in answers}


@DATAPATHS
def test_resume_and_drain_in_one_write(net, events, datapath):
    """Before an lcore has looked the port may be drained again, or resumed: it ends as the last says,
    and nothing is lost nor told twice."""
    a = net.guest("a", mac=A, datapath=datapath, queues=2, park_ms=60000)
    b = net.guest("b", mac=B, datapath=datapath)
    sent, told = numbered(B, A, 60), []
    with Connection(net.sluiced.control) as connection:
        connection.call("port.drain", name=a.name)
        for i in range(0, 60, 6):
            send_all(net, b, sent[i:i + 3])
            answers = answers_to(connection, a.name, "port.resume", "port.drain")
            assert answers["port.resume"]["state"] == "up", answers
            assert answers["port.drain"]["state"] == "drained", answers
            assert net.sluiced.port(a.name)["state"] == "drained"
            send_all(net, b, sent[i + 3:i + 6])
        connection.call("port.resume", name=a.name)
        assert_got(receive(a, 60), *sent)
        while told.count("port.resumed") < 11:
            told.append(events.next_event(lambda event: event["port"] == a.name)["type"])
        assert told.count("port.drained") == 11, told

        for each in numbered(B, A, 10):
            answers = answers_to(connection, a.name, "port.drain", "port.resume")
            assert answers["port.resume"]["state"] == "up", answers
            refused = answers["port.drain"]
            assert refused.text_code == "bad-state" and "resumed" in refused.message, answers
            assert net.sluiced.port(a.name)["state"] == "up"
            send_all(net, b, [each])
            assert_got(receive(a, 1), each)
    assert net.stats(a)["parked"] == 0 and net.stats(a)["rx_dropped"] == 0


def test_drain_may_drop(net):
    a, b = net.guest("a", mac=A), net.guest("b", mac=B)
    net.sluiced.rpc("port.drain", name=a.name, then="drop")
    send_all(net, b, numbered(B, A, 5))
    wait_until(lambda: net.stats(a)["rx_dropped"] == 5, "5 dropped frames")
    assert net.stats(a)["parked"] == 0
    net.sluiced.rpc("port.resume", name=a.name)
    last = numbered(B, A, 1)
    send_all(net, b, last)
    assert_got(receive(a, 1), *last)


def test_wrong_states_are_refused(net):
    name = net.attach("a", mac=A)["name"]
    assert net.sluiced.refusal("port.drain", name=name).text_code == "bad-state"
    assert net.sluiced.refusal("port.resume", name=name).text_code == "bad-state"
    net.guest("b", mac=B)
    name = f"{net.bridge}-b"
    net.sluiced.rpc("port.drain", name=name)
    assert net.sluiced.refusal("port.drain", name=name).text_code == "bad-state"
    net.sluiced.rpc("port.resume", name=name)
    assert net.sluiced.refusal("port.resume", name=name).text_code == "bad-state"


@DATAPATHS
def test_what_comes_while_a_front_end_is_away_is_parked(make_net, events, datapath):
    net = make_net()
    a = net.guest("a", mac=A, datapath=datapath, park_ms=60000)
    b = net.guest("b", mac=B, datapath=datapath)
    leave(net, a)
    parked = numbered(B, A, 20)
    send_all(net, b, parked)
    assert net.stats(a)["parked"] == 20
    assert events.expect("port.parking")["park_ms"] == 60000
    a = come_back(net, "a")
    assert_got(receive(a, 20), *parked)
    assert events.expect("port.unparked")["frames"] == 20


def test_what_nobody_comes_for_expires(make_net, events):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=50), net.guest("b", mac=B)
    leave(net, a)
    send_all(net, b, numbered(B, A, 7))
    dropped = wait_until(lambda: sum(net.stats(a)["rx_dropped_by"][reason] for reason in (
        "park_expired", "no_guest")) == 7 and net.stats(a)["rx_dropped_by"], "7 dropped frames")
    if dropped["park_expired"]:  # else all came later than park_ms
        assert events.expect("port.park_expired")["frames"] > 0


def test_no_more_than_park_frames_are_parked(make_net):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=60000, park_frames=5), net.guest("b", mac=B)
    leave(net, a)
    sent = numbered(B, A, 8)
    send_all(net, b, sent)
    wait_until(lambda: net.stats(a)["rx_dropped_by"]["park_full"] == 3, "3 dropped frames")
    assert net.stats(a)["parked"] == 5
    assert_got(receive(come_back(net, "a"), 5), *sent[:5])


def test_frames_go_after_a_guest_that_has_moved(make_net, events):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B)
    uplink = net.uplink("up")
    leave(net, a)
    parked = numbered(B, A, 25)
    send_all(net, b, parked)
    net.send(uplink, rarp(A))
    got = uplink.end.recv_until(lambda got: got[:60] == parked[-1][:60])
    assert_got([each for each in got if each[:12] == parked[0][:12]], *parked)
    moved = events.expect("port.moved")
    assert moved["port"] == a.name and moved["uplink"] == uplink.name and moved["mac"] == [A]
    wait_until(lambda: net.stats(a)["redirected"] == 25, "25 redirected frames")
    later = numbered(B, A, 1)
    send_all(net, b, later)
    assert uplink.end.recv_until(lambda got: got[:60] == later[0][:60])
    assert net.macs()[(A, 0)]["port"] == uplink.name


@pytest.mark.parametrize("vlan", [None, 10])
def test_an_incoming_port_is_silent_until_its_guest_runs(make_net, events, vlan):
    net = make_net()
    b, uplink = net.guest("b", mac=B, vlan=vlan) if vlan else net.guest("b", mac=B), \
        net.uplink("up")
    port = net.attach("a", mac=A, incoming=True, **({"vlan": vlan} if vlan else {}))
    assert port["state"] == "incoming" and port["incoming"]
    assert not [mac for mac, _ in net.macs() if mac == A]
    away = numbered(B, A, 1)
    send_all(net, b, away)  # to where the guest is still
    assert uplink.end.recv_until(lambda got: got[:12] == away[0][:12])

    a = come_back(net, "a")
    arrived = events.expect("port.incoming_up")
    assert arrived["port"] == a.name and arrived["mac"] == [A]
    assert [events.expect("port.announced")["round"] for _ in range(6)] == list(range(1, 7))
    got = []
    while len(got) < 6:
        got += [each for each in [uplink.recv()] if each[6:12] == rarp(A)[6:12]]
    want = rarp(A) if vlan is None else \
        rarp(A)[:12] + bytes.fromhex("8100000a") + rarp(A)[12:]
    assert_got(got, *[want] * 6)
    assert net.sluiced.port(a.name)["state"] == "up"
    here = numbered(B, A, 1)
    send_all(net, b, here)
    assert_got(receive(a, 1), *here)


def test_a_guest_that_arrives_is_not_kept_out_by_who_uses_its_mac(make_net, events):
    net = make_net()
    thief, b, uplink = net.guest("t"), net.guest("b", mac=B), net.uplink("up")
    net.attach("a", mac=A, incoming=True)
    net.send(thief, frame(B, A))
    receive(b, 1)
    wait_until(lambda: net.macs().get((A, 0), {}).get("port") == thief.name, "the MAC to be learned")

    a = come_back(net, "a")
    assert events.expect("port.incoming_up")["port"] == a.name
    here = numbered(B, A, 3)
    send_all(net, b, here)
    assert_got(receive(a, 3), *here)
    net.send(thief, frame(B, A))
    assert net.stats(thief)["tx_dropped_by"]["spoof"] == 1
    assert uplink.end.recv_until(lambda got: got[6:12] == rarp(A)[6:12])


C = "02:00:00:00:0d:0e"


@pytest.mark.parametrize("old, new", [({}, {"vlan": 5}), ({"vlan": 5}, {})],
                         ids=["trunk-to-access", "access-to-trunk"])
def test_a_mac_goes_along_from_another_kind_of_port(make_net, events, old, new):
    net = make_net()
    left = net.guest("old", mac=A, **old)
    net.attach("new", mac=A, incoming=True, **new)
    a = come_back(net, "new")
    wait_until(lambda: net.sluiced.port(a.name)["peer"], "a front-end")
    assert net.sluiced.port(a.name)["state"] == "incoming"  # a guest with that MAC runs
    left.end.close()
    net.members.remove(left)
    assert events.expect("port.incoming_up")["port"] == a.name
    assert [entry["port"] for (mac, _), entry in net.macs().items() if mac == A] == [a.name]


def test_other_rules_let_a_guest_in_or_change_nothing(make_net, events):
    net = make_net()
    net.guest("b", mac=B)
    old = net.attach("old", mac=[A, C])["name"]
    net.attach("new", mac=B, incoming=True)
    new = come_back(net, "new")
    wait_until(lambda: net.sluiced.port(new.name)["peer"], "a front-end")
    net.sluiced.rpc("port.set", name=new.name, mac=A)
    assert events.expect("port.incoming_up")["port"] == new.name
    with pytest.raises(Refused):
        net.sluiced.rpc("port.set", name=old, vlan=5)
    assert {mac: entry["port"] for (mac, _), entry in net.macs().items() if mac != B} == \
        {A: new.name, C: old}


def test_a_guest_that_was_elsewhere_is_announced_when_it_is_back(make_net, events):
    net = make_net()
    a, b, uplink = net.guest("a", mac=A), net.guest("b", mac=B), net.uplink("up")
    leave(net, a)
    net.send(uplink, rarp(A))
    assert events.expect("port.moved")["port"] == a.name
    a = come_back(net, "a")
    assert events.expect("port.announced")["port"] == a.name
    assert uplink.end.recv_until(lambda got: got[6:12] == rarp(A)[6:12])
    here = numbered(B, A, 3)
    send_all(net, b, here)
    assert_got(receive(a, 3), *here)


def test_an_incoming_port_is_so_after_a_restart(start_sluiced):
    sluiced = start_sluiced()
    sluiced.rpc("bridge.add", name="br")
    for name in "pq":
        port = sluiced.rpc("port.attach", name=name, bridge="br", mac=A if name == "p" else B,
                           incoming=True)
    guest = VhostGuest.at(port["socket"])
    sluiced.wait_state("q", "up")
    assert sluiced.stop() == 0
    guest.close()
    sluiced.start()
    assert sluiced.port("p")["state"] == "incoming"
    assert sluiced.port("q")["state"] == "waiting"


def test_detach_waits_for_what_is_parked(make_net):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B)
    uplink = net.uplink("up")
    leave(net, a)
    send_all(net, b, numbered(B, A, 3))
    with Connection(net.sluiced.control) as connection:
        number = connection.send("port.detach", {"name": a.name})
        with pytest.raises(Refused) as refused:  # answered first
            connection.call("port.detach", name=a.name)
        assert refused.value.text_code == "bad-state" and "3 parked" in refused.value.message
        net.send(uplink, rarp(A))
        assert connection.read() == {"jsonrpc": "2.0", "id": number, "result": {}}
    with pytest.raises(Refused):
        net.sluiced.port(a.name)


def test_detach_waits_for_a_guest_that_moves(make_net):
    """Though nothing is parked for it yet."""
    net = make_net()
    a, b, uplink = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B), net.uplink("up")
    net.sluiced.rpc("port.drain", name=a.name)
    with Connection(net.sluiced.control) as connection:
        number = connection.send("port.detach", {"name": a.name})
        with pytest.raises(Refused) as refused:  # answered first
            connection.call("port.detach", name=a.name)
        assert refused.value.text_code == "bad-state" and "0 parked" in refused.value.message
        parked = numbered(B, A, 3)
        send_all(net, b, parked)
        net.send(uplink, rarp(A))
        assert uplink.end.recv_until(lambda got: got[:60] == parked[-1][:60])
        assert connection.read() == {"jsonrpc": "2.0", "id": number, "result": {}}
    net.members.remove(a)


TRUNKS = [10, 11]


def test_the_guest_of_a_trunk_is_announced_in_all_its_vlans(make_net, events):
    net = make_net()
    uplink = net.uplink("up")
    net.attach("a", mac=A, incoming=True, trunks=TRUNKS)
    a = come_back(net, "a")
    assert events.expect("port.announced")["port"] == a.name
    got = uplink.end.recv_until(lambda got: got[6:16] == with_tag(rarp(A), 11)[6:16])
    assert [each for each in got if each[6:16] == with_tag(rarp(A), 10)[6:16]]


@pytest.mark.parametrize("mode", ["native-tagged", "native-untagged"])
def test_the_guest_of_a_native_port_is_announced_in_its_native_vlan_too(make_net, events, mode):
    net = make_net()
    uplink = net.uplink("up")
    net.attach("a", mac=A, incoming=True, vlan_mode=mode, vlan=10, trunks=[10, 11])
    a = come_back(net, "a")
    assert events.expect("port.announced")["port"] == a.name
    got = uplink.end.recv_until(lambda got: got[6:16] == with_tag(rarp(A), 11)[6:16])
    assert [each[12:16] for each in got if each[6:12] == mac_bytes(A)] == \
        [with_tag(rarp(A), vlan)[12:16] for vlan in (10, 11)]


@DATAPATHS
@pytest.mark.parametrize("mode", ["native-tagged", "native-untagged"])
def test_what_waits_for_the_guest_of_a_native_port_goes_after_it(make_net, datapath, mode):
    net = make_net()
    a = net.guest("a", mac=A, vlan_mode=mode, vlan=10, park_ms=60000, datapath=datapath)
    b, c = net.guest("b", mac=B, vlan=10), net.guest("c", mac=OUTSIDE, vlan=11)
    uplink = net.uplink("up")
    leave(net, a)
    parked = numbered(B, A, 4)
    send_all(net, b, parked)
    other = numbered(OUTSIDE, A, 1)
    send_all(net, c, other)
    assert net.sluiced.stats(a.name)["parked"] == 5
    net.send(uplink, with_tag(rarp(A), 10))
    got = uplink.end.recv_until(lambda got: got[16:60] == other[0][12:56])
    assert [each[:64] for each in got if each[12:16] == bytes.fromhex("8100000a")] == \
        [with_tag(each, 10)[:64] for each in parked]


def test_a_trunk_guest_moves_in_all_its_vlans(make_net, events):
    """And in no other."""
    net = make_net()
    a, b = (net.guest(name, mac=mac, trunks=TRUNKS, park_ms=60000)
            for name, mac in (("a", A), ("b", B)))
    uplink = net.uplink("up", trunks=[*TRUNKS, 20])
    leave(net, a)
    parked = [with_tag(each, TRUNKS[i % 2]) for i, each in enumerate(numbered(B, A, 6))]
    send_all(net, b, parked)
    net.send(uplink, with_tag(rarp(A), 20))  # of another
    net.send(uplink, with_tag(rarp(OUTSIDE), 20))  # taken in after it
    wait_until(lambda: (OUTSIDE, 20) in net.macs(), "what came in VLAN 20 to be learned")
    assert net.sluiced.stats(a.name)["parked"] == 6
    net.send(uplink, with_tag(rarp(A), 11))
    got = uplink.end.recv_until(lambda got: got[:60] == parked[-1][:60])
    assert_got([each for each in got if each[:12] == parked[0][:12]], *parked)
    assert events.expect("port.moved")["port"] == a.name


def test_a_forced_detach_waits_for_nothing(make_net):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B)
    leave(net, a)
    send_all(net, b, numbered(B, A, 3))
    net.sluiced.rpc("port.detach", name=a.name, force=True)


def test_watch_prints_a_timeline_and_a_summary(net):
    a, b = net.guest("a", mac=A), net.guest("b", mac=B)
    watch = subprocess.Popen([SLUICECTL, "-s", net.sluiced.control, "migration", "watch", a.name],
                             stdout=subprocess.PIPE, text=True)
    try:
        assert watch.stdout.readline() == f"port {a.name} is up\n"

        def drained():
            net.sluiced.rpc("port.drain", name=a.name)
            send_all(net, b, numbered(B, A, 3))
            net.sluiced.rpc("port.resume", name=a.name)

        drained()  # it may not have subscribed when this happens
        drained()
        head = [watch.stdout.readline() for _ in range(3)]
        assert head[1].split() == ["MS", "LATER", "BY", "PORT", "WHAT"], head
        assert a.name in head[2]
        watch.send_signal(signal.SIGINT)
        rest = watch.stdout.read()
        assert watch.wait(10) == 0
        assert "TIMES AWAY" in rest and rest.splitlines()[-1].split()[0] == a.name, rest
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
    receive(a, 6)


def test_the_broadcasts_of_a_drained_port_are_parked_too(net):
    a, b = net.guest("a", mac=A), net.guest("b", mac=B)
    net.sluiced.rpc("port.drain", name=a.name)
    sent = frame(BROADCAST, B)
    net.send(b, sent)
    wait_until(lambda: net.stats(a)["parked"] >= 1, "a parked frame")
    net.sluiced.rpc("port.resume", name=a.name)
    assert_got(receive(a, 1), sent)
