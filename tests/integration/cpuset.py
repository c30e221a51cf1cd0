# SPDX-License-Identifier: BSD-3-Clause
"""A cgroup with a cpuset, by either version of cgroups."""

import contextlib
import os
from pathlib import Path

import pytest

from netns import unique_name


def _mounts(kind):
    for line in Path("/proc/mounts").read_text().splitlines():
        _, path, fstype, options, *_ = line.split()
        if fstype == kind:
            yield Path(path), options.split(",")


def _parent():
    """(directory that ours may be made in, version)"""
    for path, options in _mounts("cgroup"):
        if "cpuset" in options:
            return path, 1
    for path, _ in _mounts("cgroup2"):
        if "cpuset" in (path / "cgroup.controllers").read_text().split():
            (path / "cgroup.subtree_control").write_text("+cpuset")
            return path, 2
    return None, 0


class Cpuset:
    def __init__(self, cpus):
        parent, self._version = _parent()
        if not parent:
            pytest.skip("no cpuset is mounted, in any version of cgroups")
        self._parent = parent
        self.path = parent / unique_name()
        self.path.mkdir()
        if self._version == 1:
            (self.path / "cpuset.mems").write_text((parent / "cpuset.mems").read_text())
        self.set(cpus)

    def set(self, cpus):
        (self.path / "cpuset.cpus").write_text(cpus)

    def effective(self):
        name = "cpuset.effective_cpus" if self._version == 1 else "cpuset.cpus.effective"
        return (self.path / name).read_text().strip()

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def remove(self, pid):
        (self._parent / "cgroup.procs").write_text(str(pid))

    @contextlib.contextmanager
    def entered(self):
        """What is started in the block is in the cpuset, and so are we."""
        self.add(os.getpid())
        try:
            yield
        finally:
            self.remove(os.getpid())

    def close(self):
        for pid in (self.path / "cgroup.procs").read_text().split():
            self.remove(pid)
        self.path.rmdir()
