# SPDX-License-Identifier: BSD-3-Clause
"""A guest's kernel and initramfs: a kernel of Debian's, its modules, busybox, guestagent.

Kept in a cache directory (below the build directory) and built once; the kernel comes with
`apt-get download`, nothing is installed.
"""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
START = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
modprobe -a MODULES
"""
SHELL = """ip link set lo up
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
stty -echo -onlcr
# Not interactive: busybox' line editor takes the end of a background job for the end of input.
while :; do sh /dev/ttyS0 < /dev/null; done
"""


@dataclass(frozen=True)
class Image:
    """`package` depends on the newest kernel; `init` is what the guest does when it has booted."""

    package: str
    modules: tuple
    init: str


CLOUD = Image("linux-image-cloud-amd64", ("virtio_pci", "virtio_net", "8021q"), SHELL)


def run(*argv, cwd=None):
    done = subprocess.run([str(word) for word in argv], cwd=cwd, capture_output=True, text=True,
                          timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout


def download_kernel(cache, image):
    """Unpacks the newest kernel's package below `cache`, without modules that nobody asks for.
    Returns its directory."""
    depends = run("apt-cache", "depends", "--important", image.package)
    package = re.search(r"Depends: (linux-image-\S+-amd64)", depends)
    if package is None:
        raise RuntimeError(f"apt knows no {image.package}: run apt-get update")
    root = cache / package[1]
    if root.is_dir():
        return root
    work = cache / "download"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run("apt-get", "download", package[1], cwd=work)
    (deb,) = work.glob("*.deb")
    run("dpkg-deb", "-x", deb, work / "root")
    wanted = module_files(work / "root", image)
    for path in (work / "root/lib/modules").rglob("*.ko"):
        if path not in wanted:
            path.unlink()
    (work / "root").rename(root)
    shutil.rmtree(work)
    return root


def kernel_of(root):
    (kernel,) = root.glob("boot/vmlinuz-*")
    return kernel, kernel.name.removeprefix("vmlinuz-")


def module_files(root, image):
    """The modules wanted and what they need, in any order."""
    _, version = kernel_of(root)
    run("depmod", "-b", root, version)
    files = set()
    for module in image.modules:
        lines = run("modprobe", "-d", root, "-S", version, "--show-depends", module)
        files.update(Path(path) for path in re.findall(r"^insmod (\S+)", lines, re.M))
    return files


def pack(root, image, target):
    tree = target.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    for directory in ("bin", "dev", "etc", "host", "lib", "proc", "sys", "tmp"):
        (tree / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    run("gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", tree / "bin/guestagent",
        HERE / "guestagent.c")
    for path in module_files(root, image):
        to = tree / path.relative_to(root)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    run("depmod", "-b", tree, kernel_of(root)[1])
    init = tree / "init"
    init.write_text(START.replace("MODULES", " ".join(image.modules)) + image.init)
    init.chmod(0o755)
    part = target.with_suffix(".part")
    subprocess.run(f"find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > '{part}'", shell=True,
                   cwd=tree, check=True, timeout=60)
    part.rename(target)
    shutil.rmtree(tree)


def build(cache, image=CLOUD, sources=()):
    """Returns (kernel, initrd), both below `cache`, which is this image's alone; builds what is
    missing, or older than this file or `sources`."""
    cache = Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    with open(os.open(cache / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC), "w",
              encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = sorted(cache.glob("linux-image-*/boot/vmlinuz-*"))
        root = known[-1].parent.parent if known else download_kernel(cache, image)
        kernel, version = kernel_of(root)
        initrd = cache / f"initrd-{version}.gz"
        newest = max(Path(path).stat().st_mtime
                     for path in (HERE / "guestagent.c", __file__, *sources))
        if not initrd.exists() or initrd.stat().st_mtime < newest:
            pack(root, image, initrd)
        return kernel, initrd
