# SPDX-License-Identifier: BSD-3-Clause
"""Hygiene of guests' sockets: where they may lie, what may be in the way, who may connect."""

import contextlib
import grp
import os
import socket
import stat
import time

import pytest

from frames import BROADCAST, frame
from proc import acting_as
from vhostguest import VhostGuest, connect, listen
from wait import wait_until

NOBODY = 65534


@pytest.fixture
def bridge(sluiced):
    """A bridge that is empty again afterwards."""
    sluiced.rpc("bridge.add", name="hygiene")
    yield "hygiene"
    for port in sluiced.rpc("port.list"):
        sluiced.rpc("port.detach", name=port["name"])
    sluiced.rpc("bridge.del", name="hygiene")
    for left in sluiced.socket_dir.iterdir():
        left.unlink()


def attach(sluiced, bridge, path=None, name="p", **params):
    if path is not None:
        params["socket"] = str(path)
    return sluiced.rpc("port.attach", name=name, bridge=bridge, **params)


def refused_path(sluiced, bridge, path, **params):
    """The refusal of a port on this path, which must leave nothing behind."""
    before, files = sluiced.state(), sorted(sluiced.socket_dir.iterdir())
    refused = sluiced.refusal("port.attach", name="p", bridge=bridge, socket=str(path), **params)
    assert sluiced.state() == before
    assert sorted(sluiced.socket_dir.iterdir()) == files
    return refused


def live_listener(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(5)
    return listener


def test_default_path_is_the_name_in_the_socket_dir(sluiced, bridge):
    port = attach(sluiced, bridge)
    assert port["socket"] == str(sluiced.socket_dir / "p")
    assert stat.S_ISSOCK(os.stat(port["socket"]).st_mode)
    VhostGuest.at(port["socket"]).close()


@pytest.mark.parametrize("mode", ["server", "client"])
@pytest.mark.parametrize("path", ["/tmp/outside", "{dir}/../outside", "{dir}/sub/../../outside",
                                  "{dir}", "{dir}/", "{dir}x/p", "/", "{dir}/..", "{dir}/."])
def test_path_outside_the_directories(sluiced, bridge, path, mode):
    refused = refused_path(sluiced, bridge, path.format(dir=sluiced.socket_dir), mode=mode)
    assert (refused.text_code, refused.param) == ("socket-path-refused", "socket")


@pytest.mark.parametrize("mode", ["server", "client"])
def test_directory_link_that_leads_outside(sluiced, bridge, directory, mode):
    link = sluiced.socket_dir / "link"
    link.symlink_to(directory)
    refused = refused_path(sluiced, bridge, link / "p", mode=mode)
    assert refused.text_code == "socket-path-refused"
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("target", ["elsewhere", "inside", "dangling"])
@pytest.mark.parametrize("mode", ["server", "client"])
def test_link_in_the_last_place(sluiced, bridge, directory, target, mode):
    places = {"elsewhere": directory / "victim", "inside": sluiced.socket_dir / "victim",
              "dangling": sluiced.socket_dir / "nothing"}
    if target != "dangling":
        places[target].write_text("precious")
    link = sluiced.socket_dir / "link"
    link.symlink_to(places[target])
    refused = refused_path(sluiced, bridge, link, mode=mode)
    assert refused.text_code == "socket-path-refused"
    assert link.is_symlink()
    assert target == "dangling" or places[target].read_text() == "precious"


def test_path_of_107_bytes_and_no_more(sluiced, bridge):
    room = 107 - len(str(sluiced.socket_dir)) - 1
    longest = sluiced.socket_dir / ("l" * room)
    assert len(str(longest)) == 107
    assert refused_path(sluiced, bridge, f"{longest}x").text_code == "socket-path-refused"
    port = attach(sluiced, bridge, longest)
    assert port["socket"] == str(longest)
    VhostGuest.at(longest).close()


def test_longest_paths_that_differ_at_the_end(sluiced, bridge):
    """Whatever is cut on the way, each guest meets its own port."""
    room = 107 - len(str(sluiced.socket_dir)) - 1
    paths = [sluiced.socket_dir / ("l" * (room - 1) + end) for end in "ab"]
    for name, path in zip("ab", paths):
        attach(sluiced, bridge, path, name=name)
    guest = VhostGuest.at(paths[0])
    sluiced.wait_state("a", "up")
    assert sluiced.port("b")["state"] == "waiting"
    second = VhostGuest.at(paths[1])
    sluiced.wait_state("b", "up")
    sluiced.rpc("port.detach", name="a")
    assert guest.hung_up() and sluiced.port("b")["state"] == "up"
    guest.close()
    second.close()


def test_name_too_long_for_the_socket_dir(start_sluiced, directory):
    deep = directory / ("d" * (107 - len(str(directory)) - 20))
    deep.mkdir()
    daemon = start_sluiced("--socket-dir", deep)
    daemon.rpc("bridge.add", name="b")
    refused = daemon.refusal("port.attach", name="n" * 40, bridge="b",
                             socket=str(deep / ("n" * 40)))
    assert refused.text_code == "socket-path-refused"
    assert daemon.rpc("port.list") == []


def test_file_in_the_way_is_left_alone(sluiced, bridge):
    precious = sluiced.socket_dir / "file"
    precious.write_text("precious")
    assert refused_path(sluiced, bridge, precious).text_code == "socket-path-refused"
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_other_things_in_the_way_are_left_alone(sluiced, bridge, make):
    thing = sluiced.socket_dir / "thing"
    make(thing)
    assert refused_path(sluiced, bridge, thing).text_code == "socket-path-refused"
    assert thing.exists()
    os.rmdir(thing) if thing.is_dir() else thing.unlink()


def test_live_socket_in_the_way_is_left_alone(sluiced, bridge):
    path = sluiced.socket_dir / "live"
    with live_listener(path) as listener:
        assert refused_path(sluiced, bridge, path).text_code == "socket-in-use"
        connect(path).close()  # it still listens
        listener.accept()[0].close()


def test_stale_socket_is_taken_over(sluiced, bridge):
    path = sluiced.socket_dir / "stale"
    live_listener(path).close()
    assert path.exists()
    attach(sluiced, bridge, path)
    VhostGuest.at(path).close()


@pytest.mark.parametrize("spelling", ["{dir}/./p", "{dir}//p", "{dir}/sub/../p", "/.{dir}/p",
                                      "{link}/p"])
def test_same_path_in_another_spelling(sluiced, bridge, directory, spelling):
    (sluiced.socket_dir / "sub").mkdir()
    link = directory / "link"
    link.symlink_to(sluiced.socket_dir)
    attach(sluiced, bridge, sluiced.socket_dir / "p", name="first")
    refused = refused_path(sluiced, bridge, spelling.format(dir=sluiced.socket_dir, link=link))
    assert refused.text_code in ("socket-in-use", "socket-path-refused")
    (sluiced.socket_dir / "sub").rmdir()
    VhostGuest.at(sluiced.socket_dir / "p").close()


def test_same_path_as_a_client_port(sluiced, bridge):
    path = sluiced.socket_dir / "p"
    attach(sluiced, bridge, path, name="first", mode="client")
    assert refused_path(sluiced, bridge, path, mode="client").text_code == "socket-in-use"
    assert refused_path(sluiced, bridge, path).text_code == "socket-in-use"


def test_detached_port_leaves_no_socket(sluiced, bridge):
    path = attach(sluiced, bridge)["socket"]
    sluiced.rpc("port.detach", name="p")
    assert not os.path.lexists(path)
    attach(sluiced, bridge)
    VhostGuest.at(path).close()


def test_client_port_leaves_the_guests_socket(sluiced, bridge):
    path = sluiced.socket_dir / "theirs"
    with listen(path) as listener:
        attach(sluiced, bridge, path, mode="client")
        listener.settimeout(5)
        listener.accept()[0].close()
        sluiced.rpc("port.detach", name="p")
        assert path.exists()


def test_client_port_connects_when_the_socket_appears(sluiced, bridge):
    """Later made, made again under the same name, and moved into its place."""
    path = sluiced.socket_dir / "late"
    attach(sluiced, bridge, path, mode="client")
    for _ in range(2):
        with listen(path) as listener:
            listener.settimeout(5)
            guest = VhostGuest(listener.accept()[0])
            sluiced.wait_state("p", "up")
            path.unlink()
        guest.close()
        sluiced.wait_state("p", "waiting")
    with listen(sluiced.socket_dir / "elsewhere") as listener:
        (sluiced.socket_dir / "elsewhere").rename(path)
        listener.settimeout(5)
        VhostGuest(listener.accept()[0]).close()


def test_client_port_survives_things_in_its_place(sluiced, bridge):
    path = sluiced.socket_dir / "odd"
    attach(sluiced, bridge, path, mode="client")
    path.write_text("not a socket")
    path.unlink()
    live_listener(path).close()  # nobody listens
    path.unlink()
    with listen(path) as listener:
        listener.settimeout(5)
        VhostGuest(listener.accept()[0]).close()


def test_owner_group_and_mode(sluiced, bridge):
    kvm = grp.getgrnam("kvm").gr_gid
    made = os.stat(attach(sluiced, bridge)["socket"])
    assert stat.S_IMODE(made.st_mode) == 0o660
    assert (made.st_uid, made.st_gid) == (0, kvm)
    made = os.stat(attach(sluiced, bridge, name="q", socket_owner="nobody",
                          socket_group="nogroup", socket_mode="0600")["socket"])
    assert stat.S_IMODE(made.st_mode) == 0o600
    assert (made.st_uid, made.st_gid) == (NOBODY, NOBODY)


@pytest.mark.parametrize("param,value", [
    ("socket_owner", "no-such-user"), ("socket_group", "no-such-group"), ("socket_mode", "0888"),
    ("socket_mode", "10660"), ("socket_mode", "rw"), ("peer_users", ["no-such-user"]),
    ("peer_users", "root"), ("socket_owner", 0), ("socket_mode", 660),
])
def test_access_that_makes_no_sense(sluiced, bridge, param, value):
    before = sluiced.state()
    refused = sluiced.refusal("port.attach", name="p", bridge=bridge, **{param: value})
    assert refused.param == param and refused.message.startswith(param)
    assert sluiced.state() == before
    assert list(sluiced.socket_dir.iterdir()) == []


def test_peer_who_is_not_on_the_list(sluiced, bridge):
    path = attach(sluiced, bridge, peer_users=["root"], socket_mode="0666")["socket"]
    with acting_as(NOBODY, NOBODY):
        stranger = connect(path)
    with stranger, pytest.raises((ConnectionError, TimeoutError, OSError)):
        VhostGuest(stranger)
    assert sluiced.port("p")["state"] == "waiting"
    guest = VhostGuest.at(path)
    sluiced.wait_state("p", "up")
    guest.close()


def test_peer_who_is_on_the_list(sluiced, bridge):
    path = attach(sluiced, bridge, peer_users=["nobody"], socket_mode="0666")["socket"]
    with acting_as(NOBODY, NOBODY):
        peer = connect(path)
    guest = VhostGuest(peer)
    sluiced.wait_state("p", "up")
    guest.close()


def test_client_port_checks_its_peer(sluiced, bridge):
    """The listener's user counts: who made the socket, not who answers."""
    path = sluiced.socket_dir / "theirs"
    os.chmod(sluiced.socket_dir, 0o777)
    with acting_as(NOBODY, NOBODY):
        stranger = listen(path)
    os.chmod(sluiced.socket_dir, 0o755)
    with stranger:
        attach(sluiced, bridge, path, mode="client", peer_users=["root"])
        stranger.settimeout(5)
        peer, _ = stranger.accept()
        with peer, pytest.raises((ConnectionError, TimeoutError, OSError)):
            VhostGuest(peer)
        assert sluiced.port("p")["state"] == "waiting"


def test_guest_that_comes_and_goes_in_a_loop_does_not_fill_the_log(start_sluiced):
    daemon = start_sluiced()
    daemon.rpc("bridge.add", name="b")
    path = daemon.rpc("port.attach", name="p", bridge="b")["socket"]
    before, begun = daemon.process.output().count("\n"), time.monotonic()
    for _ in range(500):
        with contextlib.suppress(BlockingIOError):  # too many wait to be accepted
            connect(path).close()
    wait_until(lambda: "lines withheld" in daemon.process.output(), "the count of the rest")
    seconds = time.monotonic() - begun + 2
    assert daemon.process.output().count("\n") - before <= 11 * seconds
    assert daemon.alive()


def test_second_connection_does_not_harm_the_guest(net):
    a, b = net.guest("a"), net.guest("b")
    second = connect(net.sluiced.port(a.name)["socket"])
    with second, pytest.raises((ConnectionError, TimeoutError, OSError)):
        VhostGuest(second)
    assert net.sluiced.port(a.name)["state"] == "up"
    to_all = frame(BROADCAST, "02:00:00:00:04:0a")
    net.send(a, to_all)
    assert len(net.received(b)) == 1
    net.send(b, frame(BROADCAST, "02:00:00:00:04:0b"))
    assert len(net.received(a)) == 1


def test_connection_that_says_nothing_holds_up_nobody(sluiced, bridge):
    """Silence, half a header, a header without its payload: other guests get their answers."""
    for name in ("silent", "half", "hollow", "good"):
        attach(sluiced, bridge, name=name)
    silent, half, hollow = (connect(sluiced.socket_dir / name)
                            for name in ("silent", "half", "hollow"))
    half.sendall(b"\1\0\0")
    hollow.sendall(b"\2\0\0\0\1\0\0\0\10\0\0\0")  # SET_FEATURES, 8 bytes to come
    guest = VhostGuest.at(sluiced.socket_dir / "good")
    sluiced.wait_state("good", "up")
    guest.close()
    for peer in (silent, half, hollow):
        peer.close()
    wait_until(sluiced.answers, "sluiced to answer")
