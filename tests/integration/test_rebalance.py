# SPDX-License-Identifier: BSD-3-Clause
"""Two lcores and one memory node: queues go where they are pinned to, and from a busy lcore to an
idle one, when asked to and by themselves. What is planned is test_balance.c's."""

import pytest

from frontend import end_frontend, start_frontend
from rpc import Connection
from wait import wait_until

BRIDGE = "b"
BUSY, IDLE = 2, 1  # lcores; sluice-frontend works on the CPU of the other
AUTOMATIC_S = 120  # 5 s of a busy lcore are enough on a machine with nothing else to do
TRAFFIC = ("--both", "--csum", "--rx-offload", "none", "--queue-size", "1024", "--rx-queue-size",
           "4096", "--duration", "0")


@pytest.fixture
def start(start_sluiced):
    def start(*args):
        daemon = start_sluiced(*args, lcores="0-1")
        daemon.rpc("bridge.add", name=BRIDGE)
        return daemon

    return start


def attach(daemon, *names, **params):
    return [daemon.rpc("port.attach", name=name, bridge=BRIDGE, **params)["socket"]
            for name in names]


def lcores_of(daemon, name):
    """Of each queue, as port.get, lcore.list and uplink.list agree on it."""
    listed = {queue["queue"]: lcore["lcore"] for lcore in daemon.rpc("lcore.list")
              for queue in lcore["queues"] if queue["port"] == name}
    (port,) = [port for port in daemon.rpc("port.list") + daemon.rpc("uplink.list")
               if port["name"] == name]
    lcores = [queue["lcore"] for queue in port["queues"]]
    assert lcores == [listed[queue["queue"]] for queue in port["queues"]]
    return lcores


def busy(daemon, lcore):
    return daemon.rpc("lcore.list")[lcore - 1]["busy_percent"]


def unpin(daemon, *names):
    for name in names:
        daemon.rpc("port.set", name=name, lcore="auto")


def mean(answer, when, lcore):
    return answer[when][lcore - 1]["busy_percent"]


def test_a_rebalance_moves_what_is_needed_and_loses_nothing(start, directory):
    daemon = start("--rebalance", "off")
    names = ["p0", "p1", "p2", "p3"]
    paths = attach(daemon, *names, lcore=BUSY, mtu=9000)
    frontend = start_frontend(directory, *TRAFFIC, "--verify", "--size", "9000", "--rate", "10k",
                              *paths)
    unpin(daemon, *names[:3])

    def planned():
        plan = daemon.rpc("lcore.rebalance", dry_run=True)
        return mean(plan, "before", IDLE) < 1 and plan["moves"] and plan

    assert all(lcores_of(daemon, name) == [BUSY] for name in names), "unpinned is no reason to go"
    plan = wait_until(planned, "a load that is worth a move", 30)
    assert plan["dry_run"] and all(lcores_of(daemon, name) == [BUSY] for name in names)
    assert len(plan["moves"]) <= 2
    assert all(move["port"] != "p3" and (move["queue"], move["from"], move["to"]) == (0, BUSY, IDLE)
               for move in plan["moves"])
    assert mean(plan, "after", BUSY) < mean(plan, "before", BUSY) - 2.5
    assert plan["variance_after"] < plan["variance_before"]

    done = daemon.rpc("lcore.rebalance")
    moved = {move["port"] for move in done["moves"]}
    assert moved and not done["dry_run"]
    for name in names:
        assert lcores_of(daemon, name) == [IDLE if name in moved else BUSY]
    wait_until(lambda: busy(daemon, IDLE) > 1, "the other lcore to work")
    settled = wait_until(lambda: not (plan := daemon.rpc("lcore.rebalance"))["moves"] and plan,
                         "nothing more to move")
    assert settled["before"] == settled["after"]
    # To and fro, under traffic.
    for i in range(10):
        for name in names[:3]:
            daemon.rpc("port.set", name=name, lcore=1 + i % 2)
    report = end_frontend(frontend)
    facts = {key: report[key] for key in ("dup", "reordered", "corrupt")}
    assert not any(facts.values()), report
    drops = [daemon.stats(name) for name in names]
    assert report["lost"] == sum(one["rx_dropped"] + one["tx_dropped"] for one in drops), drops
    assert sum(guest["rx"] for guest in report["guests"]) > 0


def test_an_overloaded_lcore_is_relieved_by_itself(start):
    """DPDK's null device always has frames to give, on however busy a machine."""
    daemon = start()
    attach(daemon, "a", "b", "c", lcore=IDLE)
    with Connection(daemon.control, deadline_s=AUTOMATIC_S) as connection:
        connection.call("events.subscribe", types=["queue.moved"])
        daemon.rpc("uplink.add", name="up", bridge=BRIDGE, devargs="net_null0")
        assert lcores_of(daemon, "up") == [BUSY, BUSY], "where fewest queues are"
        event = connection.next_event()
    assert (event["port"], event["from"], event["to"]) == ("up", BUSY, IDLE), event
    assert event["reason"] == "overload"
    assert sorted(lcores_of(daemon, "up")) == [IDLE, BUSY]


def test_queues_of_an_uplink_can_be_pinned(start):
    daemon = start()
    up = dict(bridge=BRIDGE, devargs="net_null0")
    told = daemon.ctl_json("uplink", "add", "up", "--bridge", BRIDGE, "--devargs", "net_null0",
                           "--queues", "3", "--lcore", "2,auto,2")
    assert told["lcore"] == [2, "auto", 2]
    for _ in range(2):
        assert [lcores_of(daemon, "up")[i] for i in (0, 2)] == [2, 2]
        (told,) = daemon.rpc("uplink.list")
        assert [queue["pinned"] for queue in told["queues"]] == [True, False, True]
        moves = daemon.rpc("lcore.rebalance", dry_run=True)["moves"]
        assert not [move for move in moves if move["queue"] != 1], moves
        daemon.kill()
        daemon.start()
    daemon.rpc("uplink.del", name="up")
    daemon.rpc("uplink.add", name="all", **up, lcore=BUSY)
    assert lcores_of(daemon, "all") == [BUSY, BUSY], "as many as there are lcores"
    for params in ({"lcore": 3}, {"lcore": [1, 1]}, {"queues": 2, "lcore": [1]}):
        assert daemon.refusal("uplink.add", name="x", **up, **params).param == "lcore", params


def test_an_uplink_has_no_more_queues_than_its_device(start):
    daemon = start()
    for devargs, queues, why in (("", 2, "has 1 receive queue, not 2"),
                                 (",qpairs=2", 1, "needs all of them")):
        refused = daemon.refusal("uplink.add", name="up", bridge=BRIDGE, queues=queues,
                                 devargs="net_af_packet0,iface=lo" + devargs)
        assert refused.text_code == "queues-refused" and refused.param == "queues"
        assert why in refused.message


def test_pins_outlive_a_restart(start):
    daemon = start()
    attach(daemon, "p", queues=2)
    daemon.ctl("port", "set", "p", "--lcore", "2,1")
    assert lcores_of(daemon, "p") == [2, 1]
    daemon.rpc("port.set", name="p", lcore=[1, "auto"])
    assert lcores_of(daemon, "p") == [1, 1]
    refused = daemon.refusal("port.set", name="p", lcore=3, mtu=9000)
    assert refused.param == "lcore" and "1 to 2" in refused.message
    assert daemon.refusal("port.attach", name="q", bridge=BRIDGE, lcore=3).param == "lcore"
    assert daemon.port("p")["mtu"] == 1500
    daemon.kill()
    daemon.start()
    port = daemon.port("p")
    assert port["lcore"] == [1, "auto"]
    assert [queue["pinned"] for queue in port["queues"]] == [True, False]
    assert lcores_of(daemon, "p")[0] == 1
    daemon.rpc("port.set", name="p", lcore="auto")
    assert [queue["pinned"] for queue in daemon.port("p")["queues"]] == [False, False]
    assert "lcore" not in daemon.port("p")


def test_sluicectl_shows_a_rebalance(start):
    daemon = start()
    text = daemon.ctl("lcore", "rebalance", "--dry-run").stdout
    assert "nothing to move" in text and "BUSY THEN" in text
    answer = daemon.ctl_json("lcore", "rebalance")
    assert answer["moves"] == [] and len(answer["before"]) == len(answer["after"]) == 2
    assert daemon.ctl("port", "set", "p", "--lcore", "x", check=False).returncode == 2
