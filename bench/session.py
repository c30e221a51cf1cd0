# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark of sluice alone needs around it: arguments, the machine, and a place for results."""

import argparse
import contextlib
import sys
import time
from pathlib import Path

import shared
from generator import Generator
from regime import Probe, Spinners
from trials import Bench

ROUNDS, SECONDS = 7, 1


def say(text):
    print(text, file=sys.stderr, flush=True)


def parser_of(program, description):
    parser = argparse.ArgumentParser(prog=program, description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build", help="build directory [build]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N",
                        help=f"rounds of one regime [{ROUNDS}]")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S",
                        help=f"of traffic in a trial [{SECONDS}]")
    parser.add_argument("--record", type=Path, metavar="DIR",
                        help="where results go [BUILD/bench-results]")
    return parser


class Session:
    """Two CPUs, a generator, and a directory of its own, as long as the block lasts."""

    def __init__(self, arguments):
        self.arguments = arguments
        self._build = shared.use_build(arguments.build)
        self._record = arguments.record or self._build / "bench-results"
        self._at_end = contextlib.ExitStack()

    def __enter__(self):
        programs = [self._build / name for name in ("control/sluiced", "bench/sluice-probe",
                                                    "bench/frontend/sluice-frontend")]
        shared.require_machine()
        shared.require(*programs)
        self.frontend = programs[2]
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(shared.scratch_directory())
            self._probe = Probe(programs[1])
            self._spinners = Spinners(programs[1], self.directory / "spin.log")
            stack.callback(self._spinners.stop)
            self._at_end = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._at_end.close()

    def run(self, peers, scenario):
        """All trials of a scenario; the peers live as long as it takes."""
        bench = Bench(peers, Generator(self.frontend), self._probe, self._spinners,
                      self.arguments.seconds, say)
        try:
            for peer in peers:
                peer.start()
                peer.pause()
            bench.warm_up(scenario)
            bench.run_scenario(scenario, self.arguments.rounds)
        finally:
            for peer in peers:
                peer.stop()
        return bench.trials

    def keep(self, name, text, results):
        """Prints the text, and writes it and the results to NAME.md and NAME.json."""
        self._record.mkdir(parents=True, exist_ok=True)
        shared.write_json(self._record / f"{name}.json",
                          {"facts": shared.machine_facts(), **results})
        (self._record / f"{name}.md").write_text(text, encoding="utf-8")
        print(text, flush=True)
        return self._record


def main_of(program, main):
    """Runs a benchmark's main(); returns the exit status."""
    shared.end_on_signals()
    began = time.monotonic()
    try:
        complete = main()
    except (shared.Unable, AssertionError, RuntimeError) as failure:
        say(f"{program}: {failure}")
        return 1
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return 130
    say(f"{program}: {time.monotonic() - began:.0f} s")
    return 0 if complete else 1
