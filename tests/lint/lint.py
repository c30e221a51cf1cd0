#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks what a compiler does not: tests/lint/lint.py CHECK ROOT

Each complaint is a line "file:line: what is wrong"; the exit status is 1 if there is any.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

# Which folder may include what; the rte_*.h of DPDK apart.
LAYERS = {
    "numa": ("numa/",),
    "datapath": ("datapath/", "numa/"),
    "control": ("control/", "numa/", "datapath/dp.h"),
}
# Besides datapath/ itself: what drives or tests it.
RTE_FOLDERS = ("datapath/", "bench/", "tests/unit/", "tests/fuzz/")

SIZED_FOLDERS = ("numa/", "datapath/", "control/", "bench/")
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_EXCEPTION = {"worker_main": 100}  # the lcore loop

SPDX = "SPDX-License-Identifier: BSD-3-Clause"
SOURCE_SUFFIXES = {".c", ".h", ".py", ".sh"}
SOURCE_NAMES = {"meson.build", "Makefile", ".clang-format"}
MACHINE_PATH = re.compile(r"(?<![\w.$}~*])/(?:work|root)/")
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    """The project's files: without build directories, caches and the like."""

    def __init__(self, root):
        self.root = Path(root)
        self.names = sorted(self._walk())

    def _walk(self):
        for folder, subfolders, files in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if self._is_ours(Path(folder, name))]
            for name in files:
                if not Path(folder, name).is_symlink():
                    yield str(Path(folder, name).relative_to(self.root))

    @staticmethod
    def _is_ours(folder):
        hidden = folder.name.startswith(".") and folder.name != ".ci"
        return not (hidden or folder.name == "__pycache__" or (folder / "meson-private").exists())

    def lines(self, name):
        try:
            return (self.root / name).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # a picture
            return []

    def c_files(self, folders=("",)):
        return [name for name in self.names if name.endswith((".c", ".h")) and
                name.startswith(tuple(folders))]

    def shell_scripts(self):
        return [name for name in self.names if name.endswith(".sh") or
                re.match(r"#!.*\b(ba|da)?sh\b", "".join(self.lines(name)[:1]))]

    def scripts(self):
        return [name for name in self.names if "".join(self.lines(name)[:1]).startswith("#!")]

    def tool(self, *argv):
        """Runs a checker in the root. Returns its result, whatever its status."""
        try:
            return subprocess.run(argv, cwd=self.root, capture_output=True, text=True)
        except FileNotFoundError:
            sys.exit(f"lint needs {argv[0]}: run tests/setup test")


def check_includes(tree):
    """Layers, and includes relative to the root."""
    for name in tree.c_files():
        folder = name.split("/")[0]
        for number, line in enumerate(tree.lines(name), 1):
            include = INCLUDE.match(line)
            if include is None:
                continue
            kind, target = include.groups()
            where = f"{name}:{number}"
            if target.startswith("rte_"):
                if not name.startswith(RTE_FOLDERS):
                    yield f"{where}: {folder}/ may not include {target}: only datapath/ may"
            elif kind == '"':
                if "/" not in target or not (tree.root / target).exists():
                    yield f"{where}: {target} is no file when seen from the root"
                elif folder in LAYERS and not target.startswith(LAYERS[folder]):
                    yield f"{where}: {folder}/ may not know {target}"


def check_sizes(tree):
    """Lines of files and of functions."""
    names = tree.c_files(SIZED_FOLDERS)
    for name in names:
        lines = len(tree.lines(name))
        if lines > FILE_LINES_MAX:
            yield f"{name}:1: {lines} lines, at most {FILE_LINES_MAX}"
    if not names:
        return
    tags = tree.tool("ctags", "--sort=no", "--languages=C,C++", "--kinds-C=f", "--kinds-C++=f",
                     "--fields=+ne", "--output-format=json", "-f", "-", *names)
    for tag in map(json.loads, tags.stdout.splitlines()):
        allowed = FUNCTION_LINES_EXCEPTION.get(tag["name"], FUNCTION_LINES_MAX)
        lines = tag["end"] - tag["line"] + 1
        if lines > allowed:
            yield f'{tag["path"]}:{tag["line"]}: {tag["name"]}() has {lines} lines, ' \
                  f"at most {allowed}"


def check_format(tree):
    """clang-format, and no blanks at line ends elsewhere."""
    names = tree.c_files()
    if names:
        # Another major version formats differently.
        found = tree.tool("clang-format-14", "--dry-run", "-Werror", *names).stderr
        for name, line in sorted(set(re.findall(r"^(\S+?):(\d+):\d+: error:", found, re.M))):
            yield f"{name}:{line}: not as clang-format-14 -i would write it"
    for name in set(tree.names) - set(names):
        for number, line in enumerate(tree.lines(name), 1):
            if line != line.rstrip() and not name.endswith(".patch"):
                yield f"{name}:{number}: blanks at the end of the line"


def check_spdx(tree):
    """The licence on the first line, behind #! on the second."""
    scripts = set(tree.scripts())
    for name in tree.names:
        path = Path(name)
        if name in scripts or path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES:
            line = 1 if name in scripts else 0
            if SPDX not in "".join(tree.lines(name)[line:line + 1]):
                yield f"{name}:{line + 1}: not \"{SPDX}\""


def check_paths(tree):
    """No path of the machine that something was written on."""
    for name in tree.names:
        for number, line in enumerate(tree.lines(name), 1):
            if MACHINE_PATH.search(line):
                yield f"{name}:{number}: names a path of one machine: {line.strip()}"


def check_shell(tree):
    scripts = tree.shell_scripts()
    if scripts:
        yield from tree.tool("shellcheck", "-f", "gcc", *scripts).stdout.splitlines()


def check_manuals(tree):
    manuals = [name for name in tree.names if re.search(r"\.[1-8]$", name)]
    if manuals:
        yield from tree.tool("mandoc", "-T", "lint", "-W", "warning", *manuals).stdout.splitlines()


CHECKS = {
    "includes": check_includes,
    "sizes": check_sizes,
    "format": check_format,
    "spdx": check_spdx,
    "paths": check_paths,
    "shell": check_shell,
    "manuals": check_manuals,
}


def main(argv):
    if len(argv) != 3 or argv[1] not in CHECKS:
        print(f"usage: tests/lint/lint.py {'|'.join(CHECKS)} ROOT", file=sys.stderr)
        return 2
    complaints = list(CHECKS[argv[1]](Tree(argv[2])))
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
