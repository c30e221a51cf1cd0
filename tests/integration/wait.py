# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for a condition, always with a deadline: the only synchronisation in these tests."""

import time

DEADLINE_S = 10


class Timeout(AssertionError):
    """The condition did not come true in time."""


def wait_until(condition, what, deadline_s=DEADLINE_S, step_s=0.01):
    """Returns condition()'s first true value; `what` names it in the failure.

    A failure shows the last value seen, so that a test tells how far it got.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {deadline_s} s (last value {value!r})")
        time.sleep(step_s)
