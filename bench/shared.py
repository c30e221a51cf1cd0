# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share with the integration tests, and with each other.

Of the tests: processes that cannot outlive us and are ended by pid, waiting with a deadline, the
control channel, sluiced in a directory of its own, and a vhost-user guest in Python.
"""

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests/integration"))

GENERATOR_CPU, SWITCH_CPU = 0, 1


class Unable(Exception):
    """One sentence for people: why there is no benchmark."""


def use_build(build):
    """Which build the modules of the tests take; before they are imported."""
    build = Path(build).resolve()
    os.environ["SLUICE_BUILD"] = str(build)
    return build


@contextlib.contextmanager
def scratch_directory():
    """Short, since a socket's path has 107 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix="slb", dir="/run"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def end_on_signals():
    """SIGTERM and SIGHUP end us as ^C does, with everything that was started; only the first of
    them, so that nothing disturbs the cleaning up."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(*_):
        for number in signals:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, end)


def require(*programs):
    missing = [str(p) for p in programs if shutil.which(p) is None]
    if missing:
        raise Unable(f"{missing[0]} is not there: run \"make setup-bench\" and \"make\" first")


def require_machine():
    if os.geteuid() != 0:
        raise Unable("run as root: hugepages, network namespaces and pinned CPUs need it")
    cpus = os.sched_getaffinity(0)
    if not {GENERATOR_CPU, SWITCH_CPU} <= cpus:
        raise Unable(f"CPUs {GENERATOR_CPU} and {SWITCH_CPU} are needed, allowed are {sorted(cpus)}")


def run(argv, timeout_s=20, env=None):
    """Runs a short command; returns what it printed, or raises RuntimeError with what it said."""
    argv = [str(word) for word in argv]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s,
                              env=None if env is None else {**os.environ, **env}, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(argv[:3])} did not end within {timeout_s} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:3])} ended with {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def first_match(path, key):
    for line in Path(path).read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def version_of(*argv):
    with contextlib.suppress(RuntimeError, OSError):
        return run(argv).splitlines()[0]
    return "unknown"


def machine_facts():
    return {
        "cpu": first_match("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "hypervisor": "hypervisor" in first_match("/proc/cpuinfo", "flags").split(),
        "kernel": platform.release(),
        "dpdk": version_of("pkg-config", "--modversion", "libdpdk"),
        "ovs": version_of("ovs-vsctl", "--version"),
        "hugepages_2m": int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text()),
        "commit": version_of("git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"),
    }


def facts_as_markdown(facts):
    virtual = "virtual, " if facts["hypervisor"] else ""
    return (f"{facts['cpu']} ({virtual}{facts['cpus']} CPUs), Linux {facts['kernel']}, "
            f"DPDK {facts['dpdk']}, {facts['ovs']}, {facts['hugepages_2m']} hugepages of 2 MiB, "
            f"commit {facts['commit']}")


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")
