# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: each owns what it starts, and ends it.

A directory of the tests is short, since a socket's path has 107 bytes at most.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import initramfs
from net import Net
from netns import Netns, remove_orphans, unique_name
from ovsdb import Database, Served
from sluice import BUILD, SLUICED, Sluiced

_bridges = itertools.count()


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root: hugepages and network namespaces", 2)
    if not SLUICED.exists():
        pytest.exit(f"{SLUICED} is not there: build first, or set SLUICE_BUILD", 2)


@pytest.fixture(scope="session")
def scratch():
    """Makes directories."""
    root = Path(tempfile.mkdtemp(prefix="sl", dir="/run"))
    root.chmod(0o755)
    numbers = itertools.count()

    def make():
        directory = root / str(next(numbers))
        directory.mkdir()
        return directory

    yield make
    shutil.rmtree(root)


@pytest.fixture
def directory(scratch):
    return scratch()


@pytest.fixture(scope="session")
def netns():
    remove_orphans()
    namespace = Netns(unique_name())
    yield namespace
    namespace.close()


@pytest.fixture(scope="session")
def guest_image():
    """(kernel, initrd)"""
    return initramfs.build(BUILD / "guest-image")


@pytest.fixture(scope="module")
def sluiced(scratch, netns):
    """One for the tests of a module, in the run's network namespace."""
    daemon = Sluiced(scratch(), netns=netns.name)
    yield daemon
    status = daemon.stop()
    assert status == 0, f"sluiced ended with {status}:\n{daemon.process.output()[-4000:]}"


@pytest.fixture
def start_sluiced(scratch):
    """Starts as many as a test wants: start_sluiced(*args, **options of Sluiced)."""
    daemons = []

    def start(*args, **options):
        daemon = Sluiced(options.pop("directory", None) or scratch(), *args, **options)
        daemons.append(daemon)
        return daemon

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def make_net(sluiced, netns):
    """Makes bridges for one test: make_net(**parameters of bridge.add)."""
    nets = []

    def make(**params):
        nets.append(Net(sluiced, netns, f"br{next(_bridges)}", **params))
        return nets[-1]

    yield make
    for net in nets:
        net.show()
        net.close()


@pytest.fixture
def net(make_net):
    """A bridge for one test; in the end its books must balance."""
    bridge = make_net()
    yield bridge
    bridge.check_accounts()


@pytest.fixture(scope="module")
def served(scratch, netns):
    """A database without ovs-vswitchd, and a sluiced that serves it, for the tests of a module."""
    database = Database(scratch())
    daemon = Sluiced(scratch(), "--ovsdb", database.target, netns=netns.name)
    yield Served(database, daemon)
    status = daemon.stop()
    database.close()
    assert status == 0, f"sluiced ended with {status}:\n{daemon.process.output()[-4000:]}"


@pytest.fixture
def ovs(served):
    """With a bridge for one test."""
    served.add_br()
    yield served
    served.db.vsctl("--if-exists", "del-br", served.bridge)
