# SPDX-License-Identifier: BSD-3-Clause
"""sluiced on machines with several memory nodes: the kernel is asked what is where, and what sluice
says is compared with it. The machines are QEMU's, see numaguest.py; with SLUICE_NUMA_LAYOUTS=all
there are more of them than the one with two equal nodes."""

import os
import re
import time

import pytest

from frames import BROADCAST, frame
from numaguest import Layout, Node, NumaGuest
from rpc import Refused
from sluice import BUILD
from wait import wait_until

TWO = Layout((Node(2), Node(2)), distances={(0, 1): 21}, nic_node=1)
# With the CPUs that forward: those that "auto" is to take, or that --lcores names.
MORE = {
    "unequal": (Layout((Node(3, 512, 112), Node(1, 416, 80))), [2, 3]),
    "four": (Layout((Node(2),) * 4, distances={(0, 1): 15, (0, 2): 20, (0, 3): 30, (1, 2): 20,
                                               (1, 3): 20, (2, 3): 15}), [1, 3, 5, 7]),
    "single-cpus": (Layout((Node(1),) * 4, distances={(0, 1): 30, (0, 2): 15}), [1, 2, 3]),
    "without-memory": (Layout((Node(2), Node(2, 0))), [1]),
    "without-cpus": (Layout((Node(2), Node(0))), [1]),
    "control-without-memory": (Layout((Node(2, 0), Node(2))), [2, 3], "2,3"),
    "control-without-hugepages": (Layout((Node(1, hugepages=0), Node(1), Node(1))), [1, 2]),
    "threads": (Layout((Node(4), Node(4)), threads=2, kernel="isolcpus=2-3,6-7"), [2, 6]),
    "one": (Layout((Node(2),)), [1]),
}
NEAR, FAR = "02:00:00:00:0d:01", "02:00:00:00:0d:02"
ALL = os.environ.get("SLUICE_NUMA_LAYOUTS") == "all"


class Machine(NumaGuest):
    """With one sluiced at a time, and a bridge in it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.pid = None
        self._started_as = None

    def start(self, *args, lcores="auto", memory="auto"):
        """A sluiced without ports, new only if the last one had other options."""
        options = args, lcores, memory
        if self._started_as != options:
            self.stop()
            self.pid = self.call("start", *args, lcores=lcores, memory=memory)
            self._started_as = options
            self.rpc("bridge.add", name="b")

    def stop(self):
        if self.pid is not None:
            self.pid = self._started_as = None
            status, said = self.call("stop")
            assert status == 0, said

    def attach(self, name, nodes, **params):
        """A port with a guest whose pair i has its memory on nodes[i]."""
        port = self.rpc("port.attach", name=name, bridge="b", queues=len(nodes), **params)
        lies_on = self.call("connect", name, port["socket"], nodes)
        assert lies_on == [[node] for node in nodes], "the kernel has put the guest elsewhere"
        self.call("wait_port", name)
        self.check_placed({name: nodes})

    def wait_home(self):
        wait_until(lambda: all(lcore["away"] is None for lcore in self.rpc("lcore.list")),
                   "the lcores to be on their CPUs", 60)

    def detach_all(self):
        """Or, where sluiced does not answer, the end of it: the next test has a new one."""
        if self.pid is None:
            return
        self.call("hang_up_all")
        try:
            for port in self.rpc("port.list"):
                self.rpc("port.detach", name=port["name"])
        except AssertionError as failure:
            self.pid = self._started_as = None
            raise AssertionError(f"{failure}\n{self.call('kill')}") from None

    def node_of_cpu(self, cpu):
        (node,) = (i for i, cpus in enumerate(self.layout.cpus()) if cpu in cpus)
        return node

    def affinities(self):
        """{lcore: the CPUs that the kernel lets the thread of its name have}"""
        answer = {}
        for name, cpus in self.threads(self.pid).items():
            if match := re.fullmatch(r"sluice/(\d+)", name):
                (answer[int(match[1])],) = cpus
        return answer

    def lcores(self):
        """{lcore: CPU}: each must be pinned."""
        return {lcore: int(cpus) for lcore, cpus in self.affinities().items()}

    def distance(self, one, other):
        """As the kernel has it from firmware."""
        return int(self.read(f"/sys/devices/system/node/node{one}/distance").split()[other])

    def nearest(self, node, cpus):
        """The nodes of CPUs that are nearest to a node."""
        nodes = {self.node_of_cpu(cpu) for cpu in cpus}
        best = min(self.distance(node, other) for other in nodes)
        return {other for other in nodes if self.distance(node, other) == best}

    def polls(self, name):
        """{queue: lcore} of a port."""
        return {queue["queue"]: queue["lcore"]
                for queue in self.rpc("port.get", name=name)["queues"]}

    def check_placed(self, ports):
        """`ports`: {name: the node of each queue's memory}. Each queue comes to be polled on that
        node, or on one of the nearest; and sluice tells the truth about it."""
        cpus = self.lcores()
        near = {node: self.nearest(node, cpus.values()) for nodes in ports.values() for node in nodes}

        def strays():
            return [(name, queue, lcore) for name, nodes in ports.items()
                    for queue, lcore in self.polls(name).items()
                    if self.node_of_cpu(cpus[lcore]) not in near[nodes[queue]]]

        end = time.monotonic() + 20
        while (found := strays()) and time.monotonic() < end:
            time.sleep(0.1)
        assert not found, "they are polled far from their memory"
        told = {node["node"]: node for node in self.rpc("numa.show")["nodes"]}
        listed = {(queue["port"], queue["queue"]): lcore["lcore"]
                  for lcore in self.rpc("lcore.list") for queue in lcore["queues"]}
        for name, nodes in ports.items():
            for node, facts in told.items():
                assert (name in facts["ports"]) == (node in nodes), (name, facts)
            for queue, lcore in self.polls(name).items():
                assert listed[name, queue] == lcore
                self.check_told(name, queue, nodes[queue], lcore, cpus, told)

    def check_told(self, name, queue, node, lcore, cpus, told):
        polled_on = self.node_of_cpu(cpus[lcore])
        far = {other: entry["why"] for other, facts in told.items()
               for entry in facts["queues_polled_from_another_node"]
               if (entry["port"], entry["queue"]) == (name, queue)}
        assert set(far) == ({node} if node != polled_on else set()), (name, queue, far)
        placement = self.rpc("port.get", name=name)["placement"]
        if far:
            assert f"lcore {lcore} of node {polled_on}" in far[node], far
            assert f"node {node}" in placement and f"lcore {lcore}" in placement, placement


@pytest.fixture(scope="module")
def machine_of_two(scratch):
    machine = Machine(scratch(), TWO, BUILD)
    yield machine
    try:
        machine.stop()
    finally:
        machine.close()


@pytest.fixture
def two(machine_of_two):
    yield machine_of_two
    machine_of_two.detach_all()


@pytest.fixture
def auto(two):
    """sluiced as it comes, with its lcores on their CPUs."""
    two.start()
    two.wait_home()
    return two


def check_lcores(machine):
    """One thread on each CPU that lcore.list names, and on no other; a node is not what sluice says,
    but where the kernel has the CPU."""
    cpus = machine.lcores()
    told = machine.rpc("lcore.list")
    assert {lcore["lcore"]: lcore["cpu"] for lcore in told} == cpus
    for lcore in told:
        assert lcore["node"] == machine.node_of_cpu(lcore["cpu"])
    for name, lists in machine.threads(machine.pid).items():
        assert name.startswith("sluice/") and name != "sluice/calls" or not \
            {str(cpu) for cpu in cpus.values()} & {part for text in lists
                                                  for part in re.split("[,-]", text)}, (name, lists)


def test_an_lcore_on_each_node(auto):
    check_lcores(auto)
    assert [auto.node_of_cpu(cpu) for cpu in auto.lcores().values()] == [0, 1]


def taken(machine):
    """{node: bytes of hugepages in use there}, as the kernel counts them for the whole machine."""
    used = {node: machine.hugepages(node) - machine.hugepages(node, "free_hugepages")
            for node in range(len(machine.layout.nodes))}
    return {node: pages << 21 for node, pages in used.items() if pages > 0}


def test_memory_lies_on_its_node(auto):
    pages = auto.hugepages_of(auto.pid)
    assert set(pages) == {0, 1} and pages == taken(auto)
    assert pages[0] == pages[1], "each has an lcore, which has its buffers there"
    for node in auto.rpc("numa.show")["nodes"]:
        (size,) = (size for size in node["hugepages"] if size["size_kib"] == 2048)
        assert (size["total"] - size["free"]) << 21 == pages[node["node"]]
        assert node["taken"]["total_bytes"] == pages[node["node"]]
        assert 0 < node["taken"]["pool_bytes"] < node["taken"]["used_bytes"] < pages[node["node"]]


def test_memory_that_somebody_moves(auto):
    """It goes on from there, and who asks is told."""
    pages = auto.hugepages_of(auto.pid)
    assert auto.rpc("numa.show")["notes"] == []
    auto.call("move_process", auto.pid, 1, 0)
    try:
        assert auto.hugepages_of(auto.pid) == {0: pages[0] + pages[1]}
        (note,) = auto.rpc("numa.show")["notes"]
        assert note.startswith(f"{pages[1] >> 20} MiB of ")
        assert "belong on node 1" in note and "lie on node 0" in note
    finally:
        auto.stop()


def test_queues_follow_their_guests(auto):
    """Whatever was thought before the guests came: two of a node in a row, and both nodes."""
    where = {"a": [1], "b": [1], "c": [0], "d": [0]}
    for name, nodes in where.items():
        auto.attach(name, nodes)
    auto.check_placed(where)


def test_only_the_lcore_named_polls(auto):
    auto.attach("a", [1])
    auto.attach("b", [1])
    auto.attach("c", [0])
    for one, other in "ab", "ba":
        (lcore,) = auto.polls(one).values()
        assert auto.call("transfer", one, other, only_lcore=lcore) == 10
    assert auto.call("transfer", "a", "c") == auto.call("transfer", "c", "a") == 10


def test_a_guest_on_two_nodes(auto):
    """Each of its queues is polled where that queue's memory is."""
    auto.attach("wide", [1, 0, 1])
    auto.check_placed({"wide": [1, 0, 1]})
    for node in 0, 1:
        auto.attach(f"n{node}", [node])
    for queue, node in enumerate([1, 0, 1]):
        lcore = auto.polls("wide")[queue]
        assert auto.call("transfer", "wide", f"n{node}", queue=queue, only_lcore=lcore) == 10


def test_rings_of_librte_vhost(auto):
    """They are placed by where they lie, too."""
    auto.attach("wide", [1, 0], datapath="library")
    assert auto.rpc("port.get", name="wide")["guest_node"] is None
    (line,) = (line for line in auto.call("ctl", "port", "list").splitlines() if "wide" in line)
    assert " 0,1 " in line


def test_a_guest_that_is_moved(auto):
    """As by numatune: its memory goes elsewhere while it runs, and its queues go after it."""
    auto.attach("a", [0])
    auto.attach("wide", [1, 0], datapath="library")
    for port, nodes in ("a", [1]), ("wide", [0, 1]):
        assert auto.call("move", port, nodes) == [[node] for node in nodes]
    auto.check_placed({"a": [1], "wide": [0, 1]})


def test_virtio_user(auto):
    """testpmd's port, with all its memory on one node, then on the other."""
    auto.attach("listens", [0])
    socket = auto.rpc("port.attach", name="sends", bridge="b")["socket"]
    for node, cpu in (1, 2), (0, 0):
        pid = auto.call("connect_testpmd", "sends", socket, cpu, node)
        assert set(auto.hugepages_of(pid)) == {node}
        auto.check_placed({"sends": [node]})
        auto.call("wait_frames", "sends", 100, which="tx_packets")
        auto.call("hang_up", "sends")
        auto.call("wait_port", "sends", "waiting")


def test_a_guest_that_comes_again_elsewhere(auto):
    """As one that was shut down and is started by a scheduler that has another idea."""
    auto.attach("a", [0])
    for node in 1, 0:
        auto.call("hang_up", "a")
        auto.call("wait_port", "a", "waiting")
        socket = auto.rpc("port.get", name="a")["socket"]
        assert auto.call("connect", "a", socket, [node]) == [[node]]
        auto.call("wait_port", "a")
        auto.check_placed({"a": [node]})


def test_a_queue_is_moved(auto):
    """By hand to another node, where it stays and is told of, and back."""
    auto.attach("a", [1])
    auto.attach("b", [1])
    auto.attach("c", [0])
    auto.rpc("port.set", name="a", lcore=1)
    assert auto.polls("a") == {0: 1}
    (far,) = auto.rpc("numa.show")["nodes"][1]["queues_polled_from_another_node"]
    assert (far["port"], far["queue"], far["lcore"]) == ("a", 0, 1)
    assert auto.call("transfer", "a", "c", only_lcore=1) == 10
    assert auto.call("transfer", "a", "b") == auto.call("transfer", "b", "a") == 10
    auto.rpc("port.set", name="a", lcore="auto")
    wait_until(lambda: auto.polls("a") == {0: 2}, "it to be polled on its node again", 60)
    assert auto.call("transfer", "a", "b", only_lcore=2) == 10


def test_a_queue_is_moved_under_traffic(auto):
    """Nothing is lost, nothing overtakes."""
    sockets = [auto.rpc("port.attach", name=name, bridge="b")["socket"] for name in "ab"]
    auto.call("start_traffic", sockets, 1, "--both", "--verify", "--rate", 1000, "--duration", 600,
              "--queue-size", 1024, "--rx-queue-size", 4096)
    for i in range(10):
        auto.rpc("port.set", name="ab"[i % 2], lcore=1 + i // 2 % 2)
        auto.call("wait_frames", "a", 50)
        auto.call("wait_frames", "b", 50)
    report = auto.call("end_traffic")
    facts = {key: report[key] for key in ("lost", "dup", "reordered", "corrupt")}
    assert not any(facts.values()), facts


@pytest.fixture
def uplink(auto):
    """Of the machine's NIC, which DPDK drives."""
    auto.rpc("uplink.add", name="up", bridge="b", devargs=auto.nic())
    yield auto
    auto.rpc("uplink.del", name="up")


def test_an_uplink_is_polled_where_its_nic_is(uplink):
    def lcores():
        (up,) = uplink.rpc("uplink.list")
        assert (up["driver"], up["node"]) == ("net_virtio", 1)
        return {queue["lcore"] for queue in up["queues"]}

    cpus = uplink.lcores()
    wait_until(lambda: {uplink.node_of_cpu(cpus[lcore]) for lcore in lcores()} == {1},
               "it to be polled on node 1", 20)
    uplink.attach("a", [1])
    (lcore,) = lcores()
    for number in range(5):
        # It has no socket or kick that could end that: its interrupt does.
        uplink.call("wait_asleep", lcore)
        sent = frame(BROADCAST, FAR, payload=bytes([number] * 50))
        uplink.wire.send(sent)
        assert uplink.call("recv", "a") == sent.hex()
        uplink.call("wait_asleep", lcore)
        back = frame(FAR, NEAR, payload=bytes([number] * 51))
        uplink.call("send", "a", back.hex())
        assert uplink.wire.recv(20) == back


def test_a_cpu_goes_and_comes_back(auto):
    """Frames go on, it is said, and the lcore is back on its CPU as soon as there is one."""
    auto.attach("a", [1])
    auto.attach("b", [1])
    lcore = auto.polls("a")[0]
    cpu = auto.lcores()[lcore]
    sockets = [auto.rpc("port.attach", name=name, bridge="b")["socket"] for name in "cd"]
    auto.call("start_traffic", sockets, 1, "--rate", 200, "--duration", 600)
    auto.call("subscribe", "lcores", "lcore.moved", "lcore.returned")
    auto.set_online(cpu, False)
    try:
        auto.call("next_event", "lcores", type="lcore.moved", lcore=lcore)
        # A CPU that is about to go is forbidden for a moment before it is offline.
        note = f"CPU {cpu}, which is offline"
        wait_until(lambda: note in "".join(auto.rpc("numa.show")["notes"]), note, 20)
        (told,) = (one for one in auto.rpc("lcore.list") if one["lcore"] == lcore)
        assert told["affinity"] == auto.affinities()[lcore] == "2", \
            "on its node, and on no other lcore's CPU"
        assert auto.call("transfer", "a", "b", only_lcore=lcore) == 10
        auto.call("wait_frames", "d", 100)
    finally:
        auto.set_online(cpu, True)
    auto.call("next_event", "lcores", type="lcore.returned", lcore=lcore)
    assert auto.lcores()[lcore] == cpu
    check_lcores(auto)
    auto.call("wait_frames", "d", 100)
    report = auto.call("end_traffic")
    assert report["corrupt"] == 0 and report["rx"] > 0, report


CGROUP = "/sys/fs/cgroup/sluice"


def test_a_cpuset_that_shrinks(auto):
    """The kernel wipes out all affinities of a process when it gets a cpuset, and again when that
    changes; the lcores go back to their CPUs where that is allowed."""
    auto.attach("a", [1])
    auto.attach("b", [1])
    before = auto.lcores()
    lcore = auto.polls("a")[0]
    auto.call("subscribe", "lcores", "lcore.moved", "lcore.returned")
    auto.write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")
    auto.call("make_directory", CGROUP)
    try:
        auto.write(f"{CGROUP}/cpuset.cpus", "0-3")
        auto.write(f"{CGROUP}/cgroup.procs", auto.pid)
        pinned = {one: str(cpu) for one, cpu in before.items()}
        wait_until(lambda: auto.affinities() == pinned, "the lcores to be pinned again", 20)

        auto.write(f"{CGROUP}/cpuset.cpus", "0-2")
        moved = auto.call("next_event", "lcores", type="lcore.moved", lcore=lcore,
                          reason="forbidden")
        assert "cpuset" in moved["note"]
        assert auto.affinities()[lcore] == "2", "on its node, and on no other lcore's CPU"
        assert auto.rpc("numa.show")["nodes"][1]["cpus_allowed"] == "2"
        assert auto.call("transfer", "a", "b", only_lcore=lcore) == 10

        auto.write(f"{CGROUP}/cpuset.cpus", "0-1")
        note = "polls its queues from node 0 instead of 1"
        wait_until(lambda: note in "".join(auto.rpc("numa.show")["notes"]), note, 20)
        assert auto.affinities()[lcore] == "0"
        node = auto.rpc("numa.show")["nodes"][1]
        assert node["cpus_allowed"] == ""
        assert {far["lcore_node"] for far in node["queues_polled_from_another_node"]} == {0}

        auto.write(f"{CGROUP}/cpuset.cpus", "0-3")
        auto.call("next_event", "lcores", type="lcore.returned", lcore=lcore)
        assert auto.lcores() == before
        check_lcores(auto)
    finally:
        auto.write("/sys/fs/cgroup/cgroup.procs", auto.pid)
        auto.call("remove_directory", CGROUP)


def test_a_node_without_lcore(two):
    """It is served from the other one, and who asks is told, or listens."""
    two.start(lcores="0")
    assert two.lcores() == {1: 0}
    two.call("subscribe", "placement", "port.remote")
    two.attach("near", [0])
    two.attach("far", [1])
    two.check_placed({"near": [0], "far": [1]})
    remote = two.call("next_event", "placement", port="far")
    assert remote["placement"] == two.rpc("port.get", name="far")["placement"]
    assert two.call("transfer", "near", "far") == two.call("transfer", "far", "near") == 10


def test_a_node_without_hugepages(two):
    """Its lcore has memory of the other one, and who asks is told."""
    two.stop()
    two.set_hugepages(1, 0)
    try:
        two.start(memory="64,0")
        assert two.hugepages_of(two.pid) == {0: 64 << 20}
        check_lcores(two)
        for name, node in ("a", 1), ("b", 1), ("c", 0):
            two.attach(name, [node])
        two.check_placed({"a": [1], "b": [1], "c": [0]})
        assert two.call("transfer", "a", "b", only_lcore=2) == two.call("transfer", "b", "c") == 10
        assert "given none of node 1" in two.rpc("numa.show")["notes"][0]
        two.stop()
    finally:
        two.set_hugepages(1, TWO.nodes[1].hugepages)


def test_control_on_a_node_without_hugepages(two):
    """DPDK has memory for its devices all the same."""
    two.stop()
    two.set_hugepages(1, 0)
    try:
        two.start(lcores="0,1", memory="96,0")
        assert two.hugepages_of(two.pid) == {0: 96 << 20}
        check_lcores(two)
        two.rpc("uplink.add", name="null", bridge="b", devargs="net_null0")
        two.rpc("uplink.del", name="null")
        two.stop()
    finally:
        two.set_hugepages(1, TWO.nodes[1].hugepages)


def test_hugepages_are_reserved_and_given_back(two):
    two.stop()
    for node in 0, 1:
        two.set_hugepages(node, 3)
    try:
        two.start("--reserve-hugepages", "yes")
        assert two.hugepages_of(two.pid) == taken(two)
        assert set(taken(two)) == {0, 1}
        two.stop()
        for node in 0, 1:
            assert two.hugepages(node) == 3
    finally:
        for node in 0, 1:
            two.set_hugepages(node, TWO.nodes[node].hugepages)


def test_too_few_hugepages_on_one_node(two):
    """Those of the other node are no substitute, and the sentence says what lacks where."""
    two.stop()
    two.set_hugepages(1, 10)
    try:
        said = two.call("refuse_to_start", lcores="1,3", memory="64,64")
    finally:
        two.set_hugepages(1, TWO.nodes[1].hugepages)
    assert re.search(r"\b22\b.*node 1|node 1.*\b22\b", said), said


def test_a_limit_of_hugepages(two):
    """Pages are free and the kernel does not give them: then it is no help to reserve more."""
    two.stop()
    two.write("/sys/fs/cgroup/cgroup.subtree_control", "+hugetlb")
    two.call("make_directory", CGROUP)
    try:
        two.write(f"{CGROUP}/hugetlb.2MB.max", 50 << 20)
        two.write(f"{CGROUP}/cgroup.procs", 0)  # sluiced begins where the agent is
        said = two.call("refuse_to_start", lcores="1,3", memory="64,64")
        assert "hugetlb.2MB.max" in said and "others" not in said, said
        two.write(f"{CGROUP}/hugetlb.2MB.max", 100 << 20)
        two.start()
        with pytest.raises(Refused) as refused:
            for i in range(1000):
                two.rpc("port.attach", name=f"p{i}", bridge="b", queues=16)
        assert "hugetlb.2MB.max" in str(refused.value), refused
    finally:
        two.stop()
        two.write("/sys/fs/cgroup/cgroup.procs", 0)
        two.call("remove_directory", CGROUP)


@pytest.mark.parametrize("lcores, why", [("1,3", "offline"), ("1,9", "9"), ("1-3", "")])
def test_lcores_that_cannot_be(two, lcores, why):
    two.stop()
    two.set_online(3, False)
    try:
        said = two.call("refuse_to_start", lcores=lcores)
    finally:
        two.set_online(3, True)
    assert "lcores" in said and why in said, said


@pytest.mark.skipif(not ALL, reason="only with SLUICE_NUMA_LAYOUTS=all")
@pytest.mark.parametrize("name", MORE)
def test_layout(scratch, name):
    layout, *how = MORE[name]
    machine = Machine(scratch(), layout, BUILD)
    try:
        check_layout(machine, *how)
    finally:
        machine.close()


def check_layout(machine, cpus, lcores="auto"):
    """Two guests on each node that has memory, and one that is spread over all of them."""
    machine.start(lcores=lcores)
    assert sorted(machine.lcores().values()) == cpus
    check_lcores(machine)
    with_memory = [i for i, node in enumerate(machine.layout.nodes) if node.memory_mib > 0]
    guests = {f"{name}{node}": [node] for name in "ab" for node in with_memory}
    guests["wide"] = with_memory[::-1]
    for name, nodes in guests.items():
        machine.attach(name, nodes)
    machine.check_placed(guests)
    pages = machine.hugepages_of(machine.pid)
    assert pages == taken(machine)
    assert set(pages) >= {machine.node_of_cpu(cpu) for cpu in cpus} & set(with_memory)
    for i, node in enumerate(with_memory):
        assert machine.call("transfer", f"a{node}", f"b{with_memory[0]}") == 10
        assert machine.call("transfer", "wide", f"a{node}", queue=len(with_memory) - 1 - i) == 10
        lcore, other = machine.polls(f"a{node}")[0], machine.polls(f"b{node}")[0]
        if lcore == other:
            assert machine.call("transfer", f"a{node}", f"b{node}", only_lcore=lcore) == 10
    shown = machine.call("ctl", "numa", "show")
    for node in range(len(machine.layout.nodes)):
        assert f"node {node}" in shown
    assert all(re.search(rf"^ *\d+ +{cpu} ", machine.call("ctl", "lcore", "list"), re.M)
               for cpu in cpus)
    machine.stop()
