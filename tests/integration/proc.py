# SPDX-License-Identifier: BSD-3-Clause
"""Processes that cannot outlive the test run.

Each is the leader of its own process group and dies with the thread that started it
(PR_SET_PDEATHSIG); it is ended by pid. Its output goes to a file, for people: no test reads it
to decide anything, except for the one sentence that a failed start owes.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from pathlib import Path

from wait import wait_until

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def acting_as(uid, gid, groups=()):
    """Runs a block with another effective user: what a peer reads by SO_PEERCRED."""
    saved_groups = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(saved_groups)


class Process:
    """A child process; `log` holds what it printed on both streams."""

    def __init__(self, argv, log, netns=None, env=None, stdin=subprocess.DEVNULL, cpus=None):
        argv = [str(word) for word in argv]
        if cpus is not None:
            argv = ["taskset", "-c", cpus, *argv]
        if netns is not None:  # nsenter execs: the pid stays ours
            argv = ["nsenter", f"--net=/run/netns/{netns}", "--", *argv]
        self.argv = argv
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=out,
                stderr=out,
                env=None if env is None else {**os.environ, **env},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self, deadline_s):
        """Returns the exit status, negative for a signal."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.popen.wait(deadline_s)
        raise AssertionError(f"{self.argv} still runs after {deadline_s} s:\n{self.output()}")

    def kill(self):
        """SIGKILL, as a crash would be."""
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, deadline_s=10):
        """SIGTERM, then SIGKILL past the deadline. Returns the exit status."""
        if self.alive():
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(deadline_s)
        self.kill()
        if self.popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()
        return self.popen.returncode

    def wait_until(self, condition, what, deadline_s):
        """As wait.wait_until(), but fails at once with the output when the process has ended."""

        def check():
            if not self.alive():
                raise AssertionError(
                    f"{self.argv} ended ({self.popen.returncode}) before {what}:\n{self.output()}"
                )
            return condition()

        try:
            return wait_until(check, what, deadline_s)
        except AssertionError as failure:
            raise type(failure)(f"{failure}\n--- {self.log}\n{self.output()[-4000:]}") from None
