# SPDX-License-Identifier: BSD-3-Clause
"""What an orchestrator asks before, while and after it moves a guest: through the socket, and of
sluicectl with no sluiced."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from rpc import INVALID_PARAMS, Connection, Refused
from sluice import SLUICECTL
from vhostguest import VhostGuest

HERE = Path(__file__).parent
# Those of the contract, and as many of our own; "conventions" in the former says how they are read.
CASES = [case for name in ("orchestrator-cases.json", "offering-cases.json")
         for case in json.loads((HERE / name).read_text(encoding="utf-8"))["cases"]]
MACS = ["02:00:00:00:07:0A", "02:00:00:00:07:0b", "02:00:00:00:07:0c"]


def ctl(*args, stdin=None):
    """sluicectl --json, with no sluiced to ask."""
    return subprocess.run([SLUICECTL, "-s", "/nowhere/control.sock", "--json", *args],
                          input=stdin, capture_output=True, text=True, timeout=20)


def offline(method, params):
    """The result of a method, or its error object."""
    done = ctl(*method.replace("_", "-").split("."), "--params", "-", stdin=json.dumps(params))
    assert done.returncode in (0, 1), done
    if done.returncode == 0:
        return json.loads(done.stdout), None
    return None, json.loads(done.stderr)


def read_domain(text):
    """What a case says about the only interface of a domain."""
    interface = ElementTree.fromstring(text).find("devices/interface")
    source, target = interface.find("source"), interface.find("target")
    return {"source_path": source.get("path"), "source_mode": source.get("mode"),
            "target_dev": None if target is None else target.get("dev")}


def canonical(element):
    """An element with all that is in it, but for blanks between its children."""
    return (element.tag, element.attrib, (element.text or "").strip(),
            [canonical(child) for child in element])


def same_xml(text, expected):
    return canonical(ElementTree.fromstring(text)) == canonical(ElementTree.fromstring(expected))


def check(case, result):
    """`result`: what came back, or a Refused."""
    expected = case["expect"]
    if "error" in expected:
        assert isinstance(result, Refused), result
        assert {key: result.data.get(key) for key in expected["error"]} == expected["error"]
        assert len(result.message) > 20 and "\n" not in result.message
        return
    assert not isinstance(result, Refused), result
    if case["method"] == "migration.rewrite":
        result = {**result, **read_domain(result["xml"])}
    wanted = dict(expected["result"])
    for key in ("xml", "interface"):
        if key in wanted:
            assert same_xml(result[key], wanted.pop(key))
    assert {key: result.get(key) for key in wanted} == wanted
    if "warnings_for" in expected:
        assert sorted(warning["key"] for warning in result["warnings"]) == \
            sorted(expected["warnings_for"])
    for warning in result.get("warnings", []):
        assert list(warning) == ["key", "code", "message"] and len(warning["message"]) > 20
        assert "\n" not in warning["message"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_without_sluiced(case):
    result, error = offline(case["method"], case["params"])
    check(case, Refused(error) if error else result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_through_the_socket(sluiced, case):
    try:
        result = sluiced.rpc(case["method"], **case["params"])
    except Refused as refused:
        result = refused
    check(case, result)


@pytest.mark.parametrize("params,code,key", [
    ({"xml": "<domain>", "map": {}}, "bad-xml", "xml"),
    ({"xml": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><domain>&b;</domain>",
      "map": {}}, "bad-xml", "xml"),
    ({"xml": "<domain><devices><interface type='vhostuser'><mac address='02:00:00:00:00:01'/>"
             "<source path='/a'/></interface></devices></domain>",
      "map": {"02:00:00:00:00:02": {"path": "/p", "port": "csdpdk-3", "mode": "client"}}},
     "no-mapping-for-mac", "02:00:00:00:00:01"),
    ({"xml": "<domain/>",
      "map": {"02:00:00:00:00:02": {"path": "/p", "port": "a&&b", "mode": "client"}}},
     "invalid-port", "02:00:00:00:00:02"),
])
def test_refusal_is_the_same_with_and_without_sluiced(sluiced, params, code, key):
    done = ctl("migration", "rewrite", "-p", "-", stdin=json.dumps(params))
    assert done.returncode == 1 and done.stdout == ""
    error = json.loads(done.stderr)
    assert (error["data"]["code"], error["data"].get("key")) == (code, key)
    refused = sluiced.refusal("migration.rewrite", **params)
    assert (refused.code, refused.message, refused.data) == \
        (error["code"], error["message"], error["data"])


def test_parameters_in_a_file(directory):
    file = directory / "params"
    file.write_text('{"existing": ["csdpdk-4"]}')
    assert json.loads(ctl("port", "next-name", "--params", file).stdout) == {"name": "csdpdk-5"}
    assert json.loads(ctl("port", "next-name", "csdpdk-1,x").stdout) == {"name": "csdpdk-2"}
    for words in (["--params", directory / "nosuch"], ["--params", file, "csdpdk-1"]):
        assert ctl("port", "next-name", *words).returncode == 2
    file.write_text("[]")
    assert ctl("port", "next-name", "--params", file).returncode == 2
    assert ctl("port", "next-name").returncode == 3  # that sluiced has to know


def test_verdict_for_people():
    params = next(case for case in CASES if case["id"] == "K01")["params"]
    done = subprocess.run([SLUICECTL, "migration", "check", "--params", "-"], text=True, timeout=20,
                          input=json.dumps(params), capture_output=True)
    assert done.returncode == 0
    for word in ("may move", "h2", "suitable", "h1", "same-host", "destination-not-dpdk"):
        assert word in done.stdout


# ---- on the host that a guest comes to

@pytest.fixture
def bridge(sluiced):
    """A bridge whose uplink carries what the host can, and which must be left as it was."""
    before = sluiced.state(), sorted(os.listdir(sluiced.socket_dir))
    sluiced.rpc("bridge.add", name="dst")
    yield "dst"
    for port in sluiced.rpc("port.list"):
        if port["bridge"] == "dst":
            sluiced.rpc("port.detach", name=port["name"])
    for uplink in sluiced.rpc("uplink.list"):
        if uplink["bridge"] == "dst":
            sluiced.rpc("uplink.del", name=uplink["name"])
    sluiced.rpc("bridge.del", name="dst")
    assert (sluiced.state(), sorted(os.listdir(sluiced.socket_dir))) == before


def test_next_name_is_taken_by_attach(sluiced, bridge):
    assert sluiced.rpc("port.next_name") == {"name": "csdpdk-1"}
    first = sluiced.rpc("port.attach", name="auto", bridge=bridge)
    assert first["name"] == "csdpdk-1"
    assert first["socket"] == str(sluiced.socket_dir.resolve() / "csdpdk-1")
    sluiced.rpc("port.attach", name="csdpdk-9", bridge=bridge)
    assert sluiced.rpc("port.attach", name="auto", bridge=bridge)["name"] == "csdpdk-10"
    sluiced.rpc("port.detach", name="csdpdk-10")
    assert sluiced.rpc("port.next_name") == {"name": "csdpdk-10"}
    assert sluiced.rpc("port.next_name", existing=[]) == {"name": "csdpdk-1"}
    assert sluiced.ctl("port", "attach", "auto", "--bridge", bridge).stdout.count("csdpdk-10")


def test_capabilities_have_what_a_check_compares(sluiced, bridge):
    host = sluiced.rpc("host.capabilities")
    assert host["mtu"] == 9702 and "mq" in host["features"]
    sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs="net_null7", mtu=1400)
    assert sluiced.rpc("host.capabilities")["mtu"] == 1400


@pytest.mark.parametrize("mode,guest_mode", [("SERVER", "client"), ("client", "server"),
                                             (None, "client")])
def test_prepare_and_abort(sluiced, bridge, mode, guest_mode):
    before = sluiced.state(), sorted(os.listdir(sluiced.socket_dir))
    nics = [{"mac": MACS[0], "vlan": "100"}, {"mac": MACS[1], "vlan": 0},
            {"mac": MACS[2], "mtu": 9000, "queues": 2, "trunks": [5, 6], "features": ["mq"]}]
    params = {"bridge": bridge, "nics": nics} | ({"mode": mode} if mode else {})
    prepared = sluiced.rpc("migration.prepare", **params)
    assert list(prepared) == ["map"] and sorted(prepared["map"]) == sorted(MACS)
    ports = [sluiced.port(prepared["map"][mac]["port"]) for mac in MACS]
    assert [port["name"] for port in ports] == ["csdpdk-1", "csdpdk-2", "csdpdk-3"]
    for mac, port in zip(MACS, ports):
        entry = prepared["map"][mac]
        assert entry == {"path": str(sluiced.socket_dir.resolve()), "port": port["name"],
                         "mode": guest_mode}
        assert port["socket"] == f"{entry['path']}/{entry['port']}"
        assert port["mode"] == ("server" if guest_mode == "client" else "client")
        assert port["mac"] == [mac.lower()] and port["state"] == "incoming"
    assert [(port["vlan"], port["trunks"]) for port in ports] == \
        [(100, None), (None, None), (None, [5, 6])]
    assert ports[2]["mtu"] == 9000 and len(ports[2]["queues"]) == 2

    detached = sluiced.rpc("migration.abort", **prepared)["detached"]
    assert sorted(detached) == ["csdpdk-1", "csdpdk-2", "csdpdk-3"]
    assert (sluiced.state(), sorted(os.listdir(sluiced.socket_dir))) == before
    assert sluiced.rpc("migration.abort", **prepared) == {"detached": []}


def test_prepared_map_is_what_rewrite_and_abort_take(sluiced, bridge, directory):
    nics = json.dumps({"mac": MACS[0].lower()})
    prepared = sluiced.ctl_json("migration", "prepare", bridge, "--nics", nics)
    domain = next(case for case in CASES if case["id"] == "M01")["params"]["xml"].replace(
        "02:00:18:91:00:10", MACS[0])
    done = subprocess.run([SLUICECTL, "migration", "rewrite", "-p", "-"], capture_output=True,
                          input=json.dumps({"xml": domain, **prepared}), text=True, timeout=20)
    assert done.returncode == 0, done
    assert read_domain(done.stdout) == {
        "source_path": sluiced.port("csdpdk-1")["socket"], "source_mode": "client",
        "target_dev": "csdpdk-1"}
    file = directory / "map.json"
    file.write_text(json.dumps(prepared))
    assert "csdpdk-1" in sluiced.ctl("migration", "abort", "--params", file).stdout
    assert sluiced.refusal("port.get", name="csdpdk-1").text_code == "no-such-port"


def test_prepared_guest_is_not_prepared_twice(sluiced, bridge):
    prepared = sluiced.rpc("migration.prepare", bridge=bridge, nics=[{"mac": MACS[0]}])
    before = sluiced.state()
    refused = sluiced.refusal("migration.prepare", bridge=bridge, nics=[
        {"mac": MACS[1]}, {"mac": MACS[0].lower()}])
    assert refused.text_code == "already-prepared" and "csdpdk-1" in refused.message
    assert sluiced.state() == before
    sluiced.rpc("migration.abort", **prepared)
    again = sluiced.rpc("migration.prepare", bridge=bridge, nics=[{"mac": MACS[0]}])
    assert again == prepared


@pytest.mark.parametrize("params,code,key", [
    ({"bridge": "nosuch"}, "no-such-bridge", None),
    ({"mode": "serverrrr"}, "invalid-mode", "mode"),
    ({"nics": [{"mac": MACS[0]}, {"mac": MACS[1], "vlan": "abc"}]}, "bad-vlan", "vlan"),
    ({"nics": [{"mac": MACS[0]}, {"mac": MACS[1], "mtu": 9000}]}, "destination-mtu-too-low",
     MACS[1]),
    ({"nics": [{"mac": MACS[0], "features": ["mq", "guest_ufo"]}]}, "destination-lacks-features",
     MACS[0]),
    ({"nics": [{"mac": MACS[0]}, {"mac": MACS[1], "peer_users": ["no such user"]}]},
     "bad-parameter", None),
])
def test_prepare_makes_all_ports_or_none(sluiced, bridge, params, code, key):
    sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs="net_null7", mtu=1500)
    before = sluiced.state(), sorted(os.listdir(sluiced.socket_dir))
    refused = sluiced.refusal("migration.prepare", **{
        "bridge": bridge, "mode": "server", "nics": [{"mac": MACS[0]}], **params})
    assert (refused.text_code, refused.data.get("key")) == (code, key)
    assert len(refused.message) > 30
    assert (sluiced.state(), sorted(os.listdir(sluiced.socket_dir))) == before


def test_third_socket_that_cannot_be_made_takes_the_others_back(sluiced, bridge):
    (sluiced.socket_dir / "csdpdk-3").write_text("somebody's file")
    before = sluiced.state(), sorted(os.listdir(sluiced.socket_dir))
    refused = sluiced.refusal("migration.prepare", bridge=bridge,
                              nics=[{"mac": mac} for mac in MACS])
    assert refused.text_code == "socket-path-refused"
    assert (sluiced.state(), sorted(os.listdir(sluiced.socket_dir))) == before
    (sluiced.socket_dir / "csdpdk-3").unlink()


def test_abort_takes_back_nothing_of_others(sluiced, bridge):
    """A map of another host may name ports that are here, too."""
    prepared = sluiced.rpc("migration.prepare", bridge=bridge, nics=[{"mac": MACS[0]}])["map"]
    other = sluiced.rpc("port.attach", name="auto", bridge=bridge, mac=MACS[1])
    before = sluiced.state()
    entry = prepared[MACS[0]]
    for theirs in ({"port": other["name"]}, {"path": "/elsewhere"}):
        refused = sluiced.refusal("migration.abort",
                                  map={MACS[2]: {**entry, "port": "nosuch"},
                                       MACS[0]: {**entry, **theirs}})
        assert (refused.text_code, refused.data["key"]) == ("not-prepared", MACS[0])
    assert sluiced.state() == before


def test_abort_leaves_a_guest_that_runs_here(sluiced, bridge):
    prepared = sluiced.rpc("migration.prepare", bridge=bridge, nics=[{"mac": MACS[0]}])
    guest = VhostGuest.at(sluiced.port("csdpdk-1")["socket"])
    try:
        sluiced.wait_state("csdpdk-1", "up")
        refused = sluiced.refusal("migration.abort", **prepared)
        assert (refused.text_code, refused.data["key"]) == ("bad-state", MACS[0])
    finally:
        guest.close()
    sluiced.wait_state("csdpdk-1", "waiting")
    assert sluiced.rpc("migration.abort", **prepared) == {"detached": ["csdpdk-1"]}


def test_abort_waits_for_a_guest_that_is_about_to_hang_up(sluiced, bridge):
    """An orchestrator that has killed the guest's QEMU is faster than the kernel."""
    prepared = sluiced.rpc("migration.prepare", bridge=bridge, nics=[{"mac": MACS[0]}])
    guest = VhostGuest.at(sluiced.port("csdpdk-1")["socket"])
    sluiced.wait_state("csdpdk-1", "up")
    with Connection(sluiced.control) as connection:
        connection.send_bytes(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "migration.abort",
                                          "params": prepared}).encode() + b"\n")
        connection.send_bytes(b'{"jsonrpc": "2.0", "id": 2, "method": "daemon.version"}\n')
        assert connection.read()["id"] == 2  # the other waits, and nobody else does
        guest.close()
        assert connection.read()["result"] == {"detached": ["csdpdk-1"]}
    assert sluiced.refusal("port.get", name="csdpdk-1").text_code == "no-such-port"


def test_ill_typed_network_cards_are_named(sluiced, bridge):
    before = sluiced.state()
    for nics in ([{}], [{"mac": 1}], [{"mac": "x"}], [{"mac": MACS[0], "mtu": "1"}],
                 [{"mac": MACS[0], "name": "x"}], [{"mac": MACS[0]}, {"mac": MACS[0].lower()}]):
        refused = sluiced.refusal("migration.prepare", bridge=bridge, nics=nics)
        assert (refused.code, refused.param) == (INVALID_PARAMS, "nics")
    assert sluiced.state() == before
