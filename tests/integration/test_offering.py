# SPDX-License-Identifier: BSD-3-Clause
"""sluicectl for people who prepare an offering or move a guest by hand: files, pipes, what it prints, and
what it refuses. What the results are is in test_orchestrator.py."""

import json
import resource
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from sluice import SLUICECTL

MAC = "02:00:18:91:00:10"
CARD = ["--port", "csdpdk-1", "--mac", MAC, "--socket-dir", "/run/sluice/ports"]
MAP = {"map": {MAC: {"path": "/p", "port": "csdpdk-3", "mode": "client"}}}
DOMAIN = (f"<domain><devices><interface type='vhostuser'><mac address='{MAC}'/>"
          "<source type='unix' path='/old' mode='server'/></interface></devices></domain>")
OFFERING = {
    "serviceofferingdetails[0].key": "DPDK-VHOSTUSER",
    "serviceofferingdetails[0].value": "client",
    "serviceofferingdetails[1].key": "extraconfig-dpdk-numa",
    "serviceofferingdetails[1].value": "%3Ccpu%3E%3Cnuma%3E%3Ccell+memAccess=%27shared%27/%3E"
                                       "%3C/numa%3E%3C/cpu%3E",
    "serviceofferingdetails[2].key": "extraconfig-dpdk-hugepages",
    "serviceofferingdetails[2].value": "%3CmemoryBacking%3E%3C/memoryBacking%3E",
}
MIB = 1 << 20


def ctl(*args, stdin="", **options):
    """sluicectl with no sluiced to ask."""
    return subprocess.run([SLUICECTL, "-s", "/nowhere/control.sock", *map(str, args)], input=stdin,
                          capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def file_of(directory):
    def make(name, value):
        path = directory / name
        path.write_text(json.dumps(value))
        return path
    return make


@pytest.mark.parametrize("prepared", [MAP, MAP["map"]], ids=["as-prepare-says-it", "map"])
def test_rewrite_in_a_pipe(file_of, prepared):
    done = ctl("migration", "rewrite", "--map", file_of("map", prepared), stdin=DOMAIN)
    assert done.returncode == 0, done
    source = ElementTree.fromstring(done.stdout).find("devices/interface/source")
    assert (source.get("path"), source.get("mode")) == ("/p/csdpdk-3", "client")
    result = json.loads(ctl("--json", "migration", "rewrite", "--map", file_of("map", prepared),
                            stdin=DOMAIN).stdout)
    assert (result["xml"], result["changed"]) == (done.stdout, 1)


def test_standard_input_is_read_once(file_of):
    for args in (["migration", "rewrite", "--map", "-"], ["offering", "resolve", "-", "--vm", "-"],
                 ["offering", "resolve", "-", "-p", "-"]):
        done = ctl(*args, stdin=json.dumps(MAP))
        assert done.returncode == 2 and "standard input" in done.stderr, done
    done = ctl("migration", "rewrite", DOMAIN, "--map", "-", stdin=json.dumps(MAP))
    assert done.returncode == 0 and "csdpdk-3" in done.stdout, done


def test_offering_in_a_file_and_a_vm_beside_it(file_of):
    path = file_of("offering", {"offering": OFFERING})
    done = ctl("offering", "resolve", path, "--vm", '{"details": {"DPDK-VHOSTUSER": "server"}}')
    assert done.returncode == 0, done
    for words in ("vhost-user ports: yes; mode client: QEMU listens", "extraconfig-dpdk-numa",
                  "warning: the VM's own DPDK-VHOSTUSER has no effect",
                  "warning: extraconfig-dpdk-hugepages: neither"):
        assert words in done.stdout, done.stdout
    assert ctl("offering", "resolve", path).stdout == \
        ctl("offering", "resolve", "-", stdin=json.dumps(OFFERING)).stdout


def test_interface_for_people():
    done = ctl("offering", "interface", *CARD[1:], "--vlan", "100", "--queues", 2)
    assert done.returncode == 0, done
    assert "dpdkvhostuser\n" in done.stdout and "100\n" in done.stdout
    assert '<driver queues="2"/></interface>' in done.stdout
    assert "trunk\n" in ctl("offering", "interface", *CARD[1:]).stdout


def test_pieces_are_xml_and_warnings_are_beside_them(file_of):
    done = ctl("offering", "xml", file_of("offering", OFFERING), *CARD)
    assert done.returncode == 0, done
    tags = [ElementTree.fromstring(line).tag for line in done.stdout.splitlines()]
    assert tags == ["interface", "cpu", "memoryBacking"]
    assert done.stderr.startswith("sluicectl: warning: extraconfig-dpdk-hugepages: neither")
    without_card = ctl("offering", "xml", file_of("offering", OFFERING))
    assert without_card.stdout.splitlines() == done.stdout.splitlines()[1:]


@pytest.mark.parametrize("args", [["migration", "rewrite", "--map", "{}"],
                                  ["offering", "resolve", "-"], ["offering", "resolve", "-p", "-"]])
def test_document_that_is_far_too_long(args):
    """It is neither read nor kept: 100 MB, and sluicectl may not have 64 MiB."""
    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (64 * MIB, 64 * MIB))

    done = ctl(*args, stdin=f"<a>{' ' * 100_000_000}</a>", preexec_fn=limit)
    assert done.returncode == 2 and "has more than 8388608 bytes" in done.stderr, done


@pytest.mark.parametrize("xml,says", [
    (f"<domain>{'<a>' * 300}{'</a>' * 300}</domain>", "depth"),
    ("<domain " + " ".join(f"a{i}=''" for i in range(80_000)) + "/>", "attributes"),
    ("<domain>" + "<a/>" * 300_000 + "</domain>", "at most 1048576 bytes"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]><domain>&b;</domain>", "document type"),
    ("<domain>&b;</domain>", "'b'"),
    ("<domain>\0</domain>", "NUL"),
    ("", "empty"),
], ids=["deep", "wide", "long", "document-type", "entity", "nul", "empty"])
def test_document_that_would_cost_too_much(xml, says):
    done = ctl("migration", "rewrite", "--map", "{}", stdin=xml)
    assert done.returncode in (1, 2) and says in done.stderr, done.stderr[:500]
    assert done.stdout == "" and done.stderr.count("\n") == 1


def test_file_that_is_not_utf_8(directory):
    (directory / "map").write_bytes(b'{"map": {"\xff": {}}}')
    done = ctl("migration", "rewrite", "--map", directory / "map", stdin=DOMAIN)
    assert done.returncode == 2 and "is not JSON (line 1, column" in done.stderr
    done = subprocess.run([SLUICECTL, "migration", "rewrite", "--map", "{}"], input=b"<a>\xff</a>",
                          capture_output=True, timeout=20)
    assert done.returncode == 2 and b"not UTF-8" in done.stderr


def test_many_costly_requests_keep_nobody_waiting(sluiced):
    """The control thread reads XML, too: each request of 1 MiB at most is answered in its time."""
    wide = "<a " + " ".join(f"a{i}=''" for i in range(500)) + "/>"
    details = {f"extraconfig-dpdk-interface-{i}": wide for i in range(200)}
    result = sluiced.rpc("offering.resolve", offering={"details": details})
    assert len(result["extra"]) == 200 and result["warnings"] == []
    details = {f"extraconfig-dpdk-interface-{i}": "<a/>" for i in range(1025)}
    assert sluiced.refusal("offering.resolve", offering={"details": details}).param == "offering"
