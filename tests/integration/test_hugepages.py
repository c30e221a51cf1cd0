# SPDX-License-Identifier: BSD-3-Clause
"""Hugepages: how little is taken, what happens when they are used up, and that what sluiced has
reserved goes back. The kernel is asked, not sluiced."""

import contextlib
import fcntl
import mmap
import re
import signal
import subprocess
from pathlib import Path

import pytest

from frames import frame
from frontend import start_frontend
from proc import Process
from rpc import Connection, Refused
from sluice import SLUICED
from vhostguest import VhostGuest
from wait import wait_until

POOLS = Path("/sys/kernel/mm/hugepages")
POOL = POOLS / "hugepages-2048kB"
GIGABYTE_POOL = POOLS / "hugepages-1048576kB"
RESERVERS = Path("/run/sluice/hugepages.lock")  # of sluiced: one reserves pages at a time
LEDGER = Path("/run/sluice-hugepages/lock")  # of tests/hugepages: who has it alone changes pools
PAGE_MIB = 2
MAP_HUGETLB = 0x40000
START_DEADLINE_S = 20
GOAL_MB = 100  # of a node with 64 ports of one queue
FULL_MIB = 36  # what one lcore needs, and some KiB more
MANY_QUEUES = 16
MAC_A, MAC_B = "02:00:00:00:0a:01", "02:00:00:00:0b:01"


def read(pool, name):
    return int((pool / name).read_text())


def hugetlb_mib(pid):
    """What a process has of hugepages, as the kernel counts."""
    (kib,) = re.findall(r"^HugetlbPages:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(kib) // 1024


def pages_by_node(pid):
    """{node: hugepages that the process has there}"""
    nodes = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        if " huge" in line:
            for node, pages in re.findall(r" N(\d+)=(\d+)", line):
                nodes[int(node)] = nodes.get(int(node), 0) + int(pages)
    return nodes


@contextlib.contextmanager
def pools_for_us_alone():
    """No other run of tests/hugepages changes a pool meanwhile."""
    if not LEDGER.exists():
        yield
        return
    with open(LEDGER, "rb") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        yield


def taken(daemon, node=0):
    """sluiced's own account."""
    return daemon.rpc("numa.show")["nodes"][node]["taken"]


def attach(daemon, name, **params):
    return daemon.rpc("port.attach", name=name, bridge="b", **params)["socket"]


# ---- how much is taken

def test_64_ports_of_one_queue(start_sluiced, directory):
    daemon = start_sluiced(memory="auto")
    daemon.rpc("bridge.add", name="b")
    before = hugetlb_mib(daemon.process.pid)
    assert 0 < before * 1.048576 < GOAL_MB
    paths = [attach(daemon, f"p{i}") for i in range(64)]
    guests = start_frontend(directory, "--idle", "--duration", "0", "--memory", "plain",
                            "--queue-size", "1024", *paths)
    for i in range(64):
        daemon.wait_state(f"p{i}", "up")
    assert hugetlb_mib(daemon.process.pid) == before
    account = taken(daemon)
    assert account["total_bytes"] == before << 20
    assert account["pool_bytes"] + account["port_bytes"] < account["used_bytes"]
    assert account["used_bytes"] < account["total_bytes"]
    assert 64 * 90_000 < account["port_bytes"] < 64 * 100_000
    published = sum(port["memory_bytes"] for port in daemon.rpc("port.list"))
    assert abs(published - account["port_bytes"]) < account["port_bytes"] // 50
    guests.kill()
    wait_until(lambda: taken(daemon)["port_bytes"] < 64 * 6_000, "the guests' memory to be free")
    published = sum(port["memory_bytes"] for port in daemon.rpc("port.list"))
    assert abs(published - taken(daemon)["port_bytes"]) < 64 * 100


def test_memory_is_on_its_node(start_sluiced):
    daemon = start_sluiced(memory="auto")
    mib = {node: pages * PAGE_MIB for node, pages in pages_by_node(daemon.process.pid).items()}
    shown = {node["node"]: node["taken"]["total_bytes"] >> 20
             for node in daemon.rpc("numa.show")["nodes"] if node["taken"]}
    assert mib == shown
    assert sum(mib.values()) == hugetlb_mib(daemon.process.pid)


def start_large_guests(daemon, directory, count):
    """Each takes 1.3 MB."""
    paths = [attach(daemon, f"large{i}", queues=MANY_QUEUES) for i in range(count)]
    guests = start_frontend(directory, "--idle", "--duration", "0", "--memory", "plain",
                            "--queues", MANY_QUEUES, "--queue-size", "1024", *paths)
    for i in range(count):
        daemon.wait_state(f"large{i}", "up")
    return guests


def test_auto_grows_and_shrinks(start_sluiced, directory):
    """For more than it was made for, and no longer than that is there."""
    daemon = start_sluiced(memory="auto")
    daemon.rpc("bridge.add", name="b")
    before = hugetlb_mib(daemon.process.pid)
    guests = start_large_guests(daemon, directory, 12)
    assert hugetlb_mib(daemon.process.pid) > before
    guests.kill()
    for i in range(12):
        daemon.rpc("port.detach", name=f"large{i}")
    wait_until(lambda: hugetlb_mib(daemon.process.pid) == before, "the pages to be free again")


# ---- when it is used up

@pytest.fixture
def full(start_sluiced):
    """A sluiced with two guests, and as many ports as there was memory for; a refusal."""
    daemon = start_sluiced(memory=FULL_MIB)
    daemon.rpc("bridge.add", name="b")
    paths = [attach(daemon, name) for name in ("a", "b")]
    guests = [VhostGuest.at(path) for path in paths]
    for name in ("a", "b"):
        daemon.wait_state(name, "up")
    daemon.refusals = []
    for queues in (MANY_QUEUES, 1):
        for i in range(1000):
            try:
                attach(daemon, f"q{queues}-{i}", queues=queues)
            except Refused as refused:
                daemon.refusals.append(refused)
                break
        else:
            pytest.fail(f"{FULL_MIB} MiB hold 1000 ports of {queues} queues")
    yield daemon, guests
    for guest in guests:
        guest.close()


def passes(guests):
    sent = frame(MAC_B, MAC_A, size=200)
    guests[0].send(sent)
    return guests[1].recv() == sent


def test_a_full_heap_refuses_and_goes_on(full):
    daemon, guests = full
    for refused in daemon.refusals:
        assert refused.text_code == "no-hugepages"
        assert re.search(r"missing: [1-9]\d* of \d+ kB", str(refused)), refused
        assert "--memory" in str(refused)
    assert hugetlb_mib(daemon.process.pid) == FULL_MIB
    assert passes(guests)
    before = daemon.state()
    refused = daemon.refusal("uplink.add", name="up", bridge="b", devargs="net_null0")
    assert refused.text_code == "no-hugepages" and "missing" in str(refused)
    assert daemon.state() == before
    assert passes(guests)


def test_what_is_detached_can_be_attached_again(full):
    daemon, guests = full
    for _ in range(20):
        daemon.rpc("port.detach", name="q16-0")
        attach(daemon, "q16-0", queues=MANY_QUEUES)
    assert daemon.refusal("port.attach", name="more", bridge="b",
                          queues=MANY_QUEUES).text_code == "no-hugepages"
    assert passes(guests)


def test_a_guest_that_finds_no_memory(full):
    """Its rings are of librte_vhost's making: it is cut off, and there once memory is."""
    daemon, guests = full
    path = daemon.port("q16-0")["socket"]
    with contextlib.suppress(OSError, AssertionError, EOFError):
        VhostGuest.at(path, queues=MANY_QUEUES).close()
    assert daemon.alive() and passes(guests)
    for port in daemon.rpc("port.list"):
        if port["name"] not in ("a", "b", "q16-0"):
            daemon.rpc("port.detach", name=port["name"])

    def comes():
        with contextlib.suppress(OSError, AssertionError, EOFError):
            return VhostGuest.at(path, queues=MANY_QUEUES)
        return None

    guest = wait_until(comes, "the guest to be let in")
    daemon.wait_state("q16-0", "up")
    guest.close()


@contextlib.contextmanager
def no_page_free():
    """The kernel has promised all free pages to somebody."""
    size = (read(POOL, "free_hugepages") - read(POOL, "resv_hugepages")) * PAGE_MIB << 20
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB):
        yield


def test_auto_when_the_kernel_has_no_more(start_sluiced, directory):
    daemon = start_sluiced(memory="auto")
    daemon.rpc("bridge.add", name="b")
    guests = start_large_guests(daemon, directory, 6)
    with pools_for_us_alone():
        before = read(POOL, "nr_hugepages")
        with no_page_free():
            with pytest.raises(Refused) as refused:
                for i in range(1000):
                    attach(daemon, f"p{i}", queues=MANY_QUEUES)
        assert refused.value.text_code == "no-hugepages"
        assert "missing: 1 of 2048 kB" in str(refused.value)
        assert f"echo {before + 1} > /sys/devices/system/node/node" in str(refused.value)
        assert daemon.alive()
        attach(daemon, "more", queues=MANY_QUEUES)
    guests.kill()


def test_what_the_kernel_has_promised_is_not_free(directory):
    with pools_for_us_alone(), no_page_free():
        done = run_to_its_end(directory, "--memory", FULL_MIB)
    assert done.returncode == 1, done
    assert f" {FULL_MIB // PAGE_MIB} pages of 2048 kB are missing" in done.stderr, done


# ---- reserved on request

@pytest.fixture
def short():
    """MiB for a node that lack 5 pages; in the end the pools are as they were."""
    if len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) > 1:
        pytest.skip("on one node it is known which pages lack")
    with pools_for_us_alone():
        before = read(POOL, "nr_hugepages")
        yield (read(POOL, "free_hugepages") + 5) * PAGE_MIB
        assert read(POOL, "nr_hugepages") == before


def reserve(start_sluiced, mib, **options):
    return start_sluiced("--reserve-hugepages", "yes", memory=mib, **options)


def test_what_lacks_is_reserved_and_given_back(start_sluiced, short):
    before = read(POOL, "nr_hugepages")
    daemon = reserve(start_sluiced, short)
    assert read(POOL, "nr_hugepages") == before + 5
    assert hugetlb_mib(daemon.process.pid) == short
    assert daemon.stop() == 0
    assert read(POOL, "nr_hugepages") == before
    assert not Path(f"{daemon.control}.hugepages").exists()


@pytest.mark.parametrize("again", ["yes", "no"])
def test_killed(start_sluiced, short, directory, again):
    """The next start knows what is ours: it goes on with that, or gives it back."""
    before = read(POOL, "nr_hugepages")
    daemon = reserve(start_sluiced, short, directory=directory)
    daemon.kill()
    wait_until(lambda: read(POOL, "free_hugepages") * PAGE_MIB >= short, "its pages to be free")
    assert read(POOL, "nr_hugepages") == before + 5
    mib = short if again == "yes" else FULL_MIB
    daemon = start_sluiced("--reserve-hugepages", again, memory=mib, directory=directory)
    assert read(POOL, "nr_hugepages") == before + (5 if again == "yes" else 0)
    assert daemon.stop() == 0
    assert read(POOL, "nr_hugepages") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_while_it_starts(directory, short, number):
    """It does that as soon as it can do it in order."""
    before = read(POOL, "nr_hugepages")
    RESERVERS.parent.mkdir(exist_ok=True)
    with open(RESERVERS, "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = Process(command(directory, "--reserve-hugepages", "yes", "--memory", short),
                          directory / "log")
        waits = re.compile(rf"-> FLOCK .* {process.pid} ")
        process.wait_until(lambda: waits.search(Path("/proc/locks").read_text()),
                           "it to wait for others that reserve", START_DEADLINE_S)
        process.popen.send_signal(number)
    assert process.wait(START_DEADLINE_S) == 0, process.output()
    assert read(POOL, "nr_hugepages") == before


def command(directory, *args, wrapper=()):
    for name in ("s", "state"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "conf").touch()
    return [str(word) for word in (
        *wrapper, SLUICED, "-c", directory / "conf", "--control", directory / "ctl", "--socket-dir",
        directory / "s", "--state-dir", directory / "state", "--lcores", "1", "--idle", "sleep",
        *args)]


def run_to_its_end(directory, *args, wrapper=()):
    return subprocess.run(command(directory, *args, wrapper=wrapper), capture_output=True, text=True,
                          timeout=30)


def wait_for_pid(process, directory):
    """Waits until it answers; returns the daemon's own pid."""

    def pid():
        try:
            with Connection(directory / "ctl") as connection:
                return connection.call("daemon.version")["pid"]
        except OSError:
            return None

    return process.wait_until(pid, "an answer", START_DEADLINE_S)


def test_two_that_start_at_once(directory, short):
    """Neither takes the other's pages."""
    before = read(POOL, "nr_hugepages")
    places = {directory / "1": short, directory / "2": FULL_MIB}
    processes = {place: Process(command(place, "--reserve-hugepages", "yes", "--memory", mib),
                                directory / f"{place.name}.log") for place, mib in places.items()}
    try:
        for place, process in processes.items():
            assert hugetlb_mib(wait_for_pid(process, place)) == places[place]
        assert read(POOL, "nr_hugepages") == before + 5 + FULL_MIB // PAGE_MIB
    finally:
        for process in processes.values():
            process.stop()


def test_a_start_that_fails_gives_back(directory, short):
    """Bad EAL arguments are found late: the pages are there already."""
    done = run_to_its_end(directory, "--reserve-hugepages", "yes", "--memory", short, "--eal",
                          "--no-such-argument")
    assert done.returncode == 1 and "gave 5 hugepages" in done.stderr, done


def test_more_than_there_is_memory_for(directory, short):
    done = run_to_its_end(directory, "--reserve-hugepages", "yes", "--memory", 1 << 22)
    assert done.returncode == 1
    assert re.search(r"node 0 lacks \d+ hugepages of 2048 kB", done.stderr), done
    assert f"{1 << 22}" not in done.stderr or "memory available" in done.stderr


# ---- machines of other kinds

def in_mount_namespace(*steps):
    """Wraps a command: it begins with these steps of the shell, which nobody else sees."""
    return ["unshare", "-m", "sh", "-ec", "\n".join([*steps, 'exec "$@"']), "sh"]


def only_pool(size_kib, pages):
    """sysfs shows no other size."""
    return ("for d in /sys/kernel/mm/hugepages /sys/devices/system/node/node*/hugepages; do "
            f"mount -t tmpfs none $d; mkdir $d/hugepages-{size_kib}kB; cd $d/hugepages-{size_kib}kB; "
            f"echo {pages} | tee nr_hugepages free_hugepages; "
            "echo 0 | tee surplus_hugepages resv_hugepages; cd /; done > /dev/null")


def starts(directory, wrapper, memory):
    """Runs a sluiced until it answers; what the kernel says of its hugepages, in MiB."""
    process = Process(command(directory, "--memory", memory, wrapper=wrapper), directory / "log")
    try:
        return hugetlb_mib(wait_for_pid(process, directory))
    finally:
        process.stop()


def test_hugetlbfs_need_not_be_mounted(directory):
    wrapper = in_mount_namespace("umount -a -t hugetlbfs", "! grep -q ' hugetlbfs ' /proc/mounts")
    assert starts(directory, wrapper, FULL_MIB) == FULL_MIB


@pytest.fixture
def gigabyte():
    """One page of 1 GiB, where the kernel can make one now."""
    if not GIGABYTE_POOL.is_dir():
        pytest.skip("this machine has no hugepages of 1 GiB")
    (available,) = re.findall(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    if int(available) < 3 << 20:
        pytest.skip("less than 3 GiB of memory are available")
    before = read(GIGABYTE_POOL, "nr_hugepages")
    (GIGABYTE_POOL / "nr_hugepages").write_text(str(before + 1))
    try:
        if read(GIGABYTE_POOL, "free_hugepages") == 0:
            pytest.skip("the kernel has no GiB in one piece")
        yield
    finally:
        (GIGABYTE_POOL / "nr_hugepages").write_text(str(before))
        assert read(GIGABYTE_POOL, "nr_hugepages") == before


@pytest.mark.parametrize("memory", [FULL_MIB, "auto"])
def test_pages_of_1_gib_alone(directory, gigabyte, memory):
    """Less than a page is a whole one."""
    assert starts(directory, in_mount_namespace(only_pool(1 << 20, 1)), memory) == 1024


def test_pages_of_1_gib_that_are_missing(directory):
    done = run_to_its_end(directory, "--memory", 1025,
                          wrapper=in_mount_namespace(only_pool(1 << 20, 1)))
    assert done.returncode == 1 and " 1 pages of 1048576 kB are missing" in done.stderr, done


def test_memory_of_nodes_that_are_not_there(directory):
    done = run_to_its_end(directory, "--memory", ",".join(["64"] * 8))
    assert done.returncode == 1 and "memory names 8 nodes, this machine has" in done.stderr, done


def test_too_little_for_the_lcores(directory):
    """It is told before packets suffer, and how much would do."""
    done = run_to_its_end(directory, "--memory", 16)
    assert done.returncode == 1 and "give more with --memory" in done.stderr, done
    (need,) = re.findall(r"which need (\d+)", done.stderr)
    assert 30 < int(need) < FULL_MIB + 4
