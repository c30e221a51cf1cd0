#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The linter complains about each thing that it is for, and about nothing else."""

import tempfile
import unittest
from pathlib import Path

import lint

C_SPDX = f"/* {lint.SPDX} */\n"
PY_SPDX = f"# {lint.SPDX}\n"
FORMAT = (Path(__file__).parents[2] / ".clang-format").read_text(encoding="utf-8")


class LintTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        self.write(".clang-format", FORMAT)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def complaints(self, check):
        return list(lint.CHECKS[check](lint.Tree(self.root)))

    def assert_clean(self, check):
        self.assertEqual(self.complaints(check), [])

    def assert_complains(self, check, *starts):
        found = self.complaints(check)
        self.assertEqual(len(found), len(starts), found)
        for complaint, start in zip(found, starts):
            self.assertTrue(complaint.startswith(start), complaint)

    # -- includes ------------------------------------------------------------------------------

    def tree_of_layers(self):
        for name in ("numa/err.h", "datapath/dp.h", "datapath/port.h", "control/rpc.h"):
            self.write(name, C_SPDX)

    def test_downward_includes_are_fine(self):
        self.tree_of_layers()
        self.write("datapath/a.c", '#include <rte_mbuf.h>\n#include "datapath/port.h"\n'
                                   '#include "numa/err.h"\n#include <stdio.h>\n')
        self.write("control/b.c", '#include "control/rpc.h"\n#include "datapath/dp.h"\n')
        self.write("tests/unit/c.c", '#include <rte_mbuf.h>\n#include "control/rpc.h"\n')
        self.assert_clean("includes")

    def test_upward_includes(self):
        self.tree_of_layers()
        self.write("datapath/a.c", '#include "control/rpc.h"\n')
        self.write("numa/b.c", '\n#include "datapath/dp.h"\n')
        self.assert_complains("includes", "datapath/a.c:1:", "numa/b.c:2:")

    def test_only_the_door_of_datapath(self):
        self.tree_of_layers()
        self.write("control/a.c", '#include "datapath/port.h"\n')
        self.assert_complains("includes", "control/a.c:1:")

    def test_dpdk_outside_datapath(self):
        self.write("control/a.c", "#include <rte_mbuf.h>\n")
        self.write("numa/b.h", '#  include "rte_eal.h"\n')
        self.assert_complains("includes", "control/a.c:1:", "numa/b.h:1:")

    def test_includes_not_from_the_root(self):
        self.tree_of_layers()
        self.write("numa/a.c", '#include "err.h"\n')
        self.write("numa/b.c", '#include "../numa/err.h"\n')
        self.write("numa/c.c", '#include "numa/absent.h"\n')
        self.assert_complains("includes", "numa/a.c:1:", "numa/b.c:1:", "numa/c.c:1:")

    # -- sizes ---------------------------------------------------------------------------------

    @staticmethod
    def function(name, lines):
        return f"void\n{name}(void)\n{{\n" + "\tx();\n" * (lines - 3) + "}\n"

    def test_longest_allowed(self):
        self.write("numa/a.c", self.function("a", 60) + "\n" * 539)
        self.write("datapath/worker.c", self.function("worker_main", 100))
        self.write("tests/unit/test_a.c", self.function("main", 700))
        self.assert_clean("sizes")

    def test_file_too_long(self):
        self.write("control/a.c", "\n" * 601)
        self.assert_complains("sizes", "control/a.c:1: 601 lines")

    def test_function_too_long(self):
        self.write("control/a.c", "\n" + self.function("long_one", 61))
        self.write("bench/b.h", "static inline " + self.function("long_two", 61))
        self.write("datapath/worker.c", self.function("worker_main", 101))
        self.assert_complains("sizes", "bench/b.h:2: long_two() has 61",
                              "control/a.c:3: long_one() has 61",
                              "datapath/worker.c:2: worker_main() has 101")

    # -- format --------------------------------------------------------------------------------

    def test_format(self):
        self.write("numa/a.c", "int\nf(void)\n{\n\treturn 0;\n}\n")
        self.write("doc/a.md", "text\n")
        self.assert_clean("format")
        self.write("numa/b.c", "int f(void) {\n  return 0;\n}\n")
        self.assert_complains("format", "numa/b.c:1:")

    def test_blanks_at_line_end(self):
        self.write("doc/a.md", "text\nmore \n")
        self.assert_complains("format", "doc/a.md:2:")

    # -- the licence ---------------------------------------------------------------------------

    def test_spdx(self):
        self.write(".clang-format", PY_SPDX)
        self.write("a.c", C_SPDX)
        self.write("b.py", PY_SPDX)
        self.write("c", f"#!/bin/sh\n{PY_SPDX}")
        self.write("README.md", "no source\n")
        self.assert_clean("spdx")
        self.write("d.h", "\n" + C_SPDX)
        self.write("e", "#!/bin/sh\necho\n")
        self.write("f/meson.build", "")
        self.assert_complains("spdx", "d.h:1:", "e:2:", "f/meson.build:1:")

    # -- paths ---------------------------------------------------------------------------------

    def test_paths(self):
        self.write("a.md", "see tests/root/x, $D/root/x and /rooted/\n")
        self.assert_clean("paths")
        self.write("b.py", "\n".join(['x = "/' + 'work/y"', "cat /" + "root/z"]))
        self.assert_complains("paths", "b.py:1:", "b.py:2:")

    # -- tools ---------------------------------------------------------------------------------

    def test_shell(self):
        self.write("a", '#!/bin/sh\necho "$1"\n')
        self.assert_clean("shell")
        self.write("b", "#!/bin/bash\nrm $1\n")
        self.write("c.sh", "#!/bin/sh\nrm $1\n")
        self.assert_complains("shell", "b:2:", "c.sh:2:")

    def test_manuals(self):
        page = ".Dd June 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd does a\n.Sh DESCRIPTION\nIt does.\n"
        self.write("doc/a.1", page)
        self.assert_clean("manuals")
        self.write("doc/b.1", page + ".Unknown macro\n")
        self.assertTrue(any("b.1:9" in line for line in self.complaints("manuals")))

    # -- the tree ------------------------------------------------------------------------------

    def test_build_directories_are_no_source(self):
        self.write("any/meson-private/coredata", "")
        self.write("any/a.c", "")
        self.write(".git/b.c", "")
        self.write("c/__pycache__/d.py", "")
        self.write(".ci/run", "#!/bin/sh\n")
        self.assertEqual(lint.Tree(self.root).names, [".ci/run", ".clang-format"])


if __name__ == "__main__":
    unittest.main()
