# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs, as a number that no machine's noise is in: bench/instructions."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest
from sluice import BUILD

BENCH = Path(__file__).resolve().parents[2] / "bench"


def load_bench():
    sys.path.append(str(BENCH))
    loader = importlib.machinery.SourceFileLoader("instructions", str(BENCH / "instructions"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("instructions", loader))
    loader.exec_module(module)
    return module


instructions = load_bench()


@pytest.mark.parametrize("kind", instructions.KINDS)
def test_a_packet_costs_no_more_instructions_than_its_bound(kind):
    count = instructions.count(BUILD / "bench/sluice-instructions", kind)
    assert count <= instructions.bounds()[kind]
    assert count > instructions.bounds()[kind] / 2, "the bound is out of date"
