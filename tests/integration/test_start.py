# SPDX-License-Identifier: BSD-3-Clause
"""Starting: what is refused, in one sentence and at once; what survives a restart."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from sluice import MEMORY_MIB, SLUICECTL, SLUICED
from vhostguest import VhostGuest

FAIL_DEADLINE_S = 10
NOBODY = 65534


@pytest.fixture
def place(directory):
    """Arguments for a sluiced that could start: {option: value}."""
    for name in ("s", "state"):
        (directory / name).mkdir()
    (directory / "empty.conf").touch()
    return {"-c": directory / "empty.conf", "--control": directory / "ctl",
            "--socket-dir": directory / "s", "--state-dir": directory / "state", "--lcores": "1",
            "--memory": MEMORY_MIB, "--idle": "sleep"}


def arguments(options):
    return [str(word) for item in options.items() for word in item if word is not None]


def fails(options, wrapper=(), **popen):
    """Runs a sluiced that must fail; returns the sentence that it leaves."""
    done = subprocess.run([*map(str, wrapper), str(SLUICED), *arguments(options)],
                          capture_output=True, text=True, timeout=FAIL_DEADLINE_S, **popen)
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("EAL: ")]
    assert len(lines) == 1, f"one sentence expected:\n{done.stderr}"
    assert len(lines[0]) > 25, lines
    return lines[0]


def other_hugepages(pages):
    """Wraps a command into a mount namespace whose sysfs shows that many free hugepages."""
    script = (
        "set -e\n"
        "for d in /sys/kernel/mm/hugepages /sys/devices/system/node/node*/hugepages; do\n"
        "  [ -d $d ] || continue\n"
        "  mount -t tmpfs none $d && mkdir $d/hugepages-2048kB && cd $d/hugepages-2048kB\n"
        f"  for f in nr free surplus resv nr_overcommit; do echo {pages} > ${{f}}_hugepages; done\n"
        "  cd /\n"
        "done\n"
        'exec "$@"\n')
    return ["unshare", "-m", "sh", "-c", script, "sh"]


# ---- refusals

def test_no_hugepages(place):
    assert "hugepage" in fails(place, wrapper=other_hugepages(0)).lower()


def test_not_enough_hugepages(place):
    sentence = fails({**place, "--memory": 1 << 20})
    assert "hugepage" in sentence.lower() and str(1 << 20) in sentence


@pytest.mark.parametrize("lcores", ["0", "0-1"])
def test_cpu_that_is_not_allowed(place, lcores):
    assert "0" in fails({**place, "--lcores": lcores}, wrapper=["taskset", "-c", "1"])


@pytest.mark.parametrize("lcores", ["1000", "0,999"])
def test_cpu_that_is_absent(place, lcores):
    assert lcores.split(",")[-1] in fails({**place, "--lcores": lcores})


@pytest.mark.parametrize("lcores", ["", "one", "2-1", "0-99999999999", "-1", "1,,2", "1-", "0x1"])
def test_cpu_list_that_is_none(place, lcores):
    assert "lcores" in fails({**place, "--lcores": lcores})


@pytest.mark.parametrize("memory", ["", "much", "-1", "0", "1.5", "64,", "99999999999"])
def test_memory_that_is_none(place, memory):
    assert "memory" in fails({**place, "--memory": memory}).lower()


def test_socket_dir_that_is_missing(place, directory):
    missing = directory / "missing"
    assert str(missing) in fails({**place, "--socket-dir": missing})
    assert not missing.exists()


def test_socket_dir_that_is_a_file(place, directory):
    (directory / "file").write_text("")
    assert str(directory / "file") in fails({**place, "--socket-dir": directory / "file"})


def test_socket_dir_that_is_not_writable(place):
    """/proc is not writable for root either."""
    assert "/proc" in fails({**place, "--socket-dir": "/proc/self/fdinfo"})


@pytest.mark.parametrize("option", ["--state-dir", "--control"])
def test_directory_that_cannot_be_used(place, option):
    path = "/proc/nowhere" if option == "--state-dir" else "/proc/nowhere/ctl"
    sentence = fails({**place, option: path})
    assert "/proc/nowhere" in sentence and option in sentence


@pytest.mark.parametrize("option,value", [("--lcores", "99"), ("--memory", 1 << 20)])
def test_refused_start_leaves_nothing_behind(place, directory, option, value):
    (directory / "state").rmdir()
    before = sorted(directory.rglob("*"))
    fails({**place, option: value})
    assert sorted(directory.rglob("*")) == before


def test_control_path_that_is_too_long(place, directory):
    assert "control" in fails({**place, "--control": directory / ("c" * 120)})


def test_control_path_with_a_file_in_the_way(place, directory):
    (directory / "ctl").write_text("precious")
    assert str(directory / "ctl") in fails(place)
    assert (directory / "ctl").read_text() == "precious"


@pytest.mark.parametrize("extra", [["--nonsense"], ["--idle", "nap"], ["word"], ["--memory"],
                                   ["--group", "no-such-group"], ["--datapath", "magic"],
                                   ["-c", "/nonexistent/sluice.conf"]])
def test_command_line_that_makes_no_sense(place, extra):
    sentence = fails({**place, **dict([extra + [None]] if len(extra) == 1 else [extra])})
    assert extra[-1].removeprefix("--") in sentence


@pytest.mark.parametrize("words", ["--nonsense", "--help", "-l", "--lcores=x"])
def test_eal_arguments_that_make_no_sense(place, words):
    assert "eal" in fails({**place, "--eal": words})


def test_eal_refusal_ends_with_our_own_sentence(place):
    """DPDK prints its usage on standard output first."""
    done = subprocess.run([str(SLUICED), *arguments({**place, "--eal": "--nonsense"})], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=FAIL_DEADLINE_S, check=False)
    assert "--eal" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("text,line", [
    ('memory = "64"\ncolour = "red"\n', 2),
    ("\n\n# comment\n\nnonsense\n", 5),
    ('idle = "nap"\n', 1),
    ('memory = "64"\nmemory = "64"\n', 2),
    ('memory = "64\n', 1),
    ('control = "/run/x"\n\nlcores = "1-"\n', 3),
], ids=["unknown-key", "no-value", "bad-value", "twice", "no-end", "bad-list"])
def test_configuration_names_the_line(place, directory, text, line):
    conf = directory / "sluice.conf"
    conf.write_text(text)
    sentence = fails({**place, "-c": conf})
    assert str(conf) in sentence and str(line) in sentence.replace(str(conf), ""), sentence
    if "colour" in text:
        assert "colour" in sentence


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 999}',
                                     b'{"version": 1, "ports": 5}'])
def test_damaged_state_file_is_refused_and_kept(place, start_sluiced, directory, content):
    daemon = start_sluiced(directory=directory)
    daemon.rpc("bridge.add", name="b")
    daemon.stop()
    (state,) = daemon.state_dir.glob("*.json")
    state.write_bytes(content)
    assert str(state) in fails(place)
    assert state.read_bytes() == content


def test_fifo_in_place_of_the_state_is_refused_at_once(place, directory):
    os.mkfifo(directory / "state/state.json")
    assert str(directory / "state/state.json") in fails(place)


# ---- side by side

def test_second_instance_is_refused_and_the_first_works_on(place, start_sluiced, directory):
    first = start_sluiced(directory=directory)
    first.rpc("bridge.add", name="b")
    path = first.rpc("port.attach", name="p", bridge="b")["socket"]
    guest = VhostGuest.at(path)
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    assert "ctl" in fails(place)  # everything the same
    assert "ctl" in fails({**place, "--state-dir": "none"})  # the control socket alone
    assert "state" in fails({**place, "--control": elsewhere / "ctl"})  # the state alone
    # Nor is there memory left: because of the first.
    assert f"pid {first.process.pid}" in fails(place, wrapper=other_hugepages(0))
    assert first.alive()
    assert first.port("p")["state"] == "up"
    guest.close()


def test_two_instances_side_by_side(start_sluiced):
    one, other = start_sluiced(memory=64), start_sluiced(memory=64)
    one.rpc("bridge.add", name="b")
    assert other.rpc("bridge.list") == []
    other.rpc("bridge.add", name="b")
    for daemon in (one, other):
        daemon.rpc("port.attach", name="p", bridge="b")
        VhostGuest.at(daemon.socket_dir / "p").close()


# ---- what it says

def test_version():
    done = subprocess.run([str(SLUICED), "--version"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stdout.startswith("sluiced ")
    assert "22.11" in done.stdout and done.stderr == ""


def test_help_names_every_option():
    done = subprocess.run([str(SLUICED), "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0
    for option in ("-c", "--control", "--socket-dir", "--state-dir", "--lcores", "--memory",
                   "--group", "--datapath", "--idle", "--eal", "--config-check", "--version"):
        assert option in done.stdout


def test_config_check_starts_nothing(place, directory):
    command = [str(SLUICED), "--config-check", *arguments(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert not (directory / "ctl").exists()
    assert list((directory / "state").iterdir()) == []
    assert "colour" in fails({"--config-check": None, "-c": write(directory, "colour = 1\n")})


def write(directory, text):
    conf = directory / "some.conf"
    conf.write_text(text)
    return conf


def test_command_line_wins_over_the_file(start_sluiced, directory):
    conf = write(directory, 'control = "/nonexistent/ctl"\nlcores = "999"\nidle = "poll"\n')
    daemon = start_sluiced("-c", conf)
    assert [lcore["idle"] for lcore in daemon.rpc("lcore.list")] == ["sleep"]


def test_readiness_is_notified(start_sluiced, directory):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with notify:
        notify.settimeout(20)
        notify.bind(str(directory / "notify"))
        daemon = start_sluiced(env={"NOTIFY_SOCKET": str(directory / "notify")})
        said = notify.recv(4096).decode()
        assert "READY=1" in said.splitlines()
        daemon.stop()
        said = notify.recv(4096).decode()
        while "STOPPING=1" not in said.splitlines():
            said = notify.recv(4096).decode()


# ---- stopping and coming back

@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "daemon.stop", "sluicectl"])
def test_stop_in_order(start_sluiced, how):
    daemon = start_sluiced()
    daemon.rpc("bridge.add", name="b")
    path = daemon.rpc("port.attach", name="p", bridge="b")["socket"]
    guest = VhostGuest.at(path)
    daemon.wait_state("p", "up")
    if how == "daemon.stop":
        daemon.rpc("daemon.stop")
    elif how == "sluicectl":
        daemon.ctl("daemon", "stop")
    else:
        os.kill(daemon.process.pid, getattr(signal, how))
    assert daemon.process.wait(10) == 0
    assert guest.hung_up()
    assert not os.path.exists(path) and not daemon.control.exists()
    guest.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_state_survives(start_sluiced, netns, end):
    daemon = start_sluiced(netns=netns.name)
    daemon.rpc("bridge.add", name="b", mac_age_s=17, mac_limit=99)
    daemon.rpc("bridge.add", name="c")
    daemon.rpc("uplink.add", name="u", bridge="b", devargs="net_null0,no-rx=1", trunks=[1, 2])
    daemon.rpc("port.attach", name="p", bridge="b", mac=["02:00:00:00:00:01"], vlan=5, mtu=9000,
               queues=2, switching="vepa")
    daemon.rpc("port.attach", name="q", bridge="c", mode="client", learn=True, trunks=[0, 7])
    daemon.rpc("port.set", name="p", vlan=6)
    before = daemon.state()
    getattr(daemon, end)()
    daemon.start()
    assert daemon.state() == before
    guest = VhostGuest.at(daemon.socket_dir / "p", queues=2)
    daemon.wait_state("p", "up")
    guest.close()
    daemon.rpc("port.detach", name="p")
    getattr(daemon, end)()
    daemon.start()
    assert [port["name"] for port in daemon.rpc("port.list")] == ["q"]


def test_uplink_that_is_gone_does_not_stop_the_rest(start_sluiced, netns):
    daemon = start_sluiced(netns=netns.name)
    netns.veth("gone0", "gone1")
    daemon.rpc("bridge.add", name="b")
    daemon.rpc("uplink.add", name="u", bridge="b", devargs="net_af_packet0,iface=gone0")
    daemon.rpc("port.attach", name="p", bridge="b")
    daemon.kill()
    netns.ip("link", "del", "gone0")
    daemon.start()
    VhostGuest.at(daemon.socket_dir / "p").close()
    assert [uplink["name"] for uplink in daemon.rpc("uplink.list")] == ["u"]


def fill(path):
    """Writes until the file system is full."""
    with open(path, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(512))


def test_state_that_cannot_be_written_refuses_the_change(start_sluiced, directory):
    (directory / "state").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", directory / "state"],
                   check=True)
    try:
        daemon = start_sluiced(directory=directory)
        daemon.rpc("bridge.add", name="b")
        daemon.rpc("port.attach", name="p", bridge="b", vlan=7)
        before = daemon.state()
        fill(directory / "state/filler")
        for method, params in (("bridge.add", {"name": "c"}), ("port.detach", {"name": "p"}),
                               ("port.attach", {"name": "q", "bridge": "b"}),
                               ("port.set", {"name": "p", "vlan": 8})):
            assert daemon.refusal(method, **params).text_code == "store-failed"
            assert daemon.state() == before
        assert not (daemon.socket_dir / "q").exists()
        (directory / "state/filler").unlink()
        VhostGuest.at(daemon.socket_dir / "p").close()
        daemon.rpc("bridge.add", name="c")
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", directory / "state"], check=True)


def test_state_dir_none_keeps_nothing(start_sluiced):
    daemon = start_sluiced("--state-dir", "none")
    daemon.rpc("bridge.add", name="b")
    daemon.stop()
    assert list(daemon.state_dir.iterdir()) == []
    daemon.start()
    assert daemon.rpc("bridge.list") == []


def test_start_is_quick(start_sluiced):
    """1 s is promised from the start to the first forwarded packet; a busy machine gets 5."""
    begun = time.monotonic()
    start_sluiced()
    assert time.monotonic() - begun < 5


# ---- sluicectl

def test_sluicectl_without_a_daemon(directory):
    done = subprocess.run([str(SLUICECTL), "-s", str(directory / "none"), "port", "list"],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 3 and str(directory / "none") in done.stderr


@pytest.mark.parametrize("args", [[], ["port"], ["port", "nonsense"], ["nonsense", "list"],
                                  ["port", "list", "--colour", "red"], ["port", "attach"],
                                  ["bridge", "add", "b", "--mac-age-s", "soon"],
                                  ["bridge", "add", "b", "--mac-age-s"]])
def test_sluicectl_wrong_usage(directory, args):
    """Found without asking sluiced."""
    done = subprocess.run([str(SLUICECTL), "-s", str(directory / "none"), *args],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and done.stderr


def test_sluicectl_reaches_everything(start_sluiced, netns):
    daemon = start_sluiced(netns=netns.name)
    daemon.ctl("bridge", "add", "b", "--mac-age-s", 17)
    daemon.ctl("uplink", "add", "u", "--bridge", "b", "--devargs", "net_null0,no-rx=1",
               "--trunks", "1,2")
    daemon.ctl("port", "attach", "p", "--bridge", "b", "--vlan", 5, "--mac", "02:00:00:00:00:01",
               "--learn", "true", "--queues", 2)
    daemon.ctl("port", "set", "p", "--mtu", 9000)
    assert daemon.ctl_json("bridge", "list") == daemon.rpc("bridge.list")
    assert daemon.ctl_json("uplink", "list")[0]["trunks"] == [1, 2]
    port = daemon.ctl_json("port", "get", "p")
    assert (port["vlan"], port["mac"], len(port["queues"])) == (5, ["02:00:00:00:00:01"], 2)
    for words in (["daemon", "version"], ["port", "list"], ["port", "stats"],
                  ["port", "stats", "p"], ["bridge", "macs", "b"], ["lcore", "list"],
                  ["numa", "show"], ["host", "capabilities"]):
        daemon.ctl_json(*words)
        assert daemon.ctl(*words).stdout.strip()
    refused = daemon.ctl("--json", "port", "get", "nosuch", check=False)
    assert refused.returncode == 1 and refused.stdout == ""
    assert json.loads(refused.stderr)["data"]["code"] == "no-such-port"
    assert daemon.ctl("port", "get", "nosuch", check=False).returncode == 1
    daemon.ctl("port", "detach", "p")
    daemon.ctl("uplink", "del", "u")
    daemon.ctl("bridge", "del", "b")
    assert daemon.rpc("bridge.list") == []
