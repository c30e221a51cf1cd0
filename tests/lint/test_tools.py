#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/hugepages, on a pool of plain files instead of the kernel's, and what tests/run counts."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def load(name):
    """A script without .py as a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader(name, str(TESTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class HugepagesTest(unittest.TestCase):
    """Ten pages are there and free. The files do not notice who uses pages; the loans do."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.tool = load("hugepages")
        self.tool.SYS = Path(temporary.name, "sys")
        self.tool.LOANS = Path(temporary.name, "loans")
        self.pool = self.tool.machine_pool()
        self.pool.mkdir(parents=True)
        for name, pages in {"nr": 10, "free": 10, "resv": 0, "surplus": 0}.items():
            (self.pool / f"{name}_hugepages").write_text(f"{pages}\n")

    def size(self):
        return int((self.pool / "nr_hugepages").read_text())

    def spawn(self, pages):
        """A process with a loan of its own. Returns its pid and the end of a pipe: closing it lets
        the process give back and end."""
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(done[1])
            loan = self.tool.Loan(pages)
            os.write(ready[1], b".")
            os.read(done[0], 1)
            loan.give_back()
            os._exit(0)
        os.read(ready[0], 1)
        for end in (*ready, done[0]):
            os.close(end)
        return pid, done[1]

    def test_enough_is_free(self):
        loan = self.tool.Loan(10)
        self.assertEqual((self.size(), loan.added), (10, {}))
        loan.give_back()
        self.assertEqual(self.size(), 10)

    def test_only_what_is_short_is_added_and_given_back(self):
        loan = self.tool.Loan(14)
        self.assertEqual(self.size(), 14)
        loan.give_back()
        self.assertEqual(self.size(), 10)

    def test_what_another_wants_is_not_free(self):
        pid, end = self.spawn(8)
        self.assertEqual(self.size(), 10)
        loan = self.tool.Loan(5)
        self.assertEqual(self.size(), 13)
        os.close(end)
        os.waitpid(pid, 0)
        self.assertEqual(self.size(), 13)
        loan.give_back()
        self.assertEqual(self.size(), 10)

    def test_what_the_dead_added_is_taken_back(self):
        pid, end = self.spawn(20)
        self.assertEqual(self.size(), 20)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(end)
        with contextlib.redirect_stderr(io.StringIO()):
            self.tool.Loan(1).give_back()
        self.assertEqual(self.size(), 10)

    def test_no_memory_is_refused_and_changes_nothing(self):
        with self.assertRaisesRegex(self.tool.Refused, "memory"):
            self.tool.Loan(10 ** 9)
        self.assertEqual(self.size(), 10)
        self.tool.Loan(10).give_back()
        self.assertEqual(self.size(), 10)

    def test_status_of_the_command(self):
        with self.blocked():
            self.assertEqual(self.tool.run_command(["sh", "-c", "exit 7"]), 7)
            self.assertEqual(self.tool.run_command(["sh", "-c", "kill -9 $$"]), 128 + 9)
            with self.assertRaisesRegex(self.tool.Refused, "/nowhere"):
                self.tool.run_command(["/nowhere"])

    def test_signal_reaches_the_command(self):
        with self.blocked():
            status = self.tool.run_command(["sh", "-c", "trap 'exit 5' TERM; kill -TERM $PPID; "
                                                        "while :; do sleep 0.1; done"])
        self.assertEqual(status, 5)

    @contextlib.contextmanager
    def blocked(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self.tool.FORWARDED | {signal.SIGCHLD})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class RunTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.report = Path(temporary.name, "report.xml")
        self.tool = load("run")

    def counted(self, cases, status=0):
        script = f"echo '<testsuites><testsuite>{cases}</testsuite></testsuites>' > {self.report}"
        with contextlib.redirect_stdout(io.StringIO()):
            return str(self.tool.run_counted(self.report, "sh", "-c", f"{script}; exit {status}"))

    def test_cases_are_counted(self):
        cases = "<testcase/><testcase/><testcase><failure/></testcase>" \
                "<testcase><error/></testcase><testcase><skipped/></testcase>"
        self.assertEqual(self.counted(cases, 1), "2 passed, 2 failed, 1 skipped")

    def test_failure_without_a_failed_case(self):
        self.assertEqual(self.counted("<testcase/>", 1), "1 passed, 1 failed")

    def test_nothing_run_is_a_failure(self):
        self.assertEqual(self.counted(""), "0 passed, 1 failed")
        self.assertEqual(self.counted("<testcase><skipped/></testcase>"),
                         "0 passed, 1 failed, 1 skipped")

    def test_old_report_is_not_counted_again(self):
        self.counted("<testcase/>")
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(str(self.tool.run_counted(self.report, "true")), "0 passed, 1 failed")

    def test_hang_is_ended_and_failed(self):
        self.tool.SUITE_TIMEOUT_S = 0.2
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertFalse(self.tool.call("sleep", "60"))

    def test_what_is_left_running_is_ended_and_counted(self):
        left = subprocess.Popen(["sleep", "60"])
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(self.tool.end_leftovers(grace_s=0), 1)
        self.assertFalse(Path(f"/proc/{left.pid}").exists())
        left.returncode = 0  # it is waited for already


if __name__ == "__main__":
    unittest.main()
