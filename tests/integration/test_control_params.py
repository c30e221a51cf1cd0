# SPDX-License-Identifier: BSD-3-Clause
"""Every parameter of every method, wrong in every way: refused by name, nothing changed."""

import json

import pytest

from rpc import INVALID_PARAMS, NO_METHOD, Connection

NOT_TEXT = [1, 1.5, True, None, [], {}]
NOT_INT = ["1", 1.5, True, None, [], {}, 2**63, -(2**63) - 1]
BAD_NAMES = NOT_TEXT + ["", "a" * 64, "a" * 100000, "../up", "a/b", "a b", "-a", "ä", "a\n",
                        "a\u0000b"]
BAD_MACS = [1, None, True, {}, "", "02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:0g",
            "02-00-00-00-00-01", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
            "02:00:00:00:00:01 ", [1], [None], [["02:00:00:00:00:01"]],
            ["02:00:00:00:00:01", "nonsense"], ["02:00:00:00:00:01", "02:00:00:00:00:01"],
            [f"02:00:00:00:01:{i:02x}" for i in range(200)]]
BAD_TRUNKS = ["10", 10, None, True, {}, [-1], [4095], ["10"], [1.5], [None], [10, 10], [[10]],
              list(range(4096))]


def ints(low, high):
    return NOT_INT + [low - 1, high + 1, -1 if low > -1 else low - 2, 2**32, 2**40]


BAD_VLAN, BAD_MTU = ints(1, 4094), ints(68, 9702)
# Those that are words want a vlan.
BAD_MODES = NOT_TEXT + ["", "Access", "native", "access trunk", "access", "native-tagged"]
BAD_BOOL = [1, 0, "true", None, [], {}]
BAD_NODE = ["", "0", "any", -1, 1.5, True, None, [], {}, 1000, 2**40]
NAME = {"name": BAD_NAMES}
LIMITS = {"rate_mbps": ints(0, 10**6), "rate_kbps": ints(0, 10**9), "burst_kb": ints(0, 10**9),
          **{f"storm_{kind}_pps": ints(0, 10**9) for kind in ("broadcast", "multicast", "unknown")}}
BAD_RETRIES = ints(0, 32)
PARK = {"park_ms": ints(0, 600000), "park_frames": ints(0, 1 << 20)}
BAD_LCORES = [0, 65, -1, 1.5, True, "", "Auto", "1", {}, [], [0], [1, "x"], [[1]], [1] * 17]
NOT_LIST = [1, "x", True, None, {}]
NOT_OBJECT = [1, "x", True, None, []]
BAD_NICS = NOT_LIST + [[1], [{}], [{"mac": "x"}], [{"mac": "02:00:00:00:00:01", "mtu": 1}],
                       [{"mac": "02:00:00:00:00:01", "colour": 1}],
                       [{"mac": f"02:00:00:00:00:{i:02x}"} for i in range(65)]]
BAD_MAPS = NOT_OBJECT + [{f"02:00:00:00:00:{i:02x}": {} for i in range(65)},
                         {"x": {}}, {"02:00:00:00:00:01": {}}, {"02:00:00:00:00:01": {"path": "p"}}]
CHECK = {"vm": {"type": "User", "state": "Running"}, "offering": {},
         "source": {"name": "h1"}, "destinations": []}
CARD = {"port": "csdpdk-1", "mac": "02:00:00:00:00:01", "socket_dir": "/run"}

# method: (a request that is right but for the parameter at hand, {parameter: wrong values},
#          the parameters that must be there)
METHODS = {
    "daemon.version": ({}, {}, []),
    "daemon.stop": ({}, {}, []),
    "bridge.add": ({"name": "new"}, {**NAME, "mac_age_s": ints(1, 10**6) + [0],
                                     "mac_limit": ints(0, 65536)}, ["name"]),
    "bridge.del": ({"name": "there"}, NAME, ["name"]),
    "bridge.list": ({}, {}, []),
    "bridge.macs": ({"name": "there"}, NAME, ["name"]),
    "uplink.add": (
        {"name": "new", "bridge": "there", "devargs": "net_null0"},
        {**NAME, "bridge": BAD_NAMES, "devargs": NOT_TEXT + ["", "x" * 100000, "net_null0\n"],
         "vlan": BAD_VLAN, "trunks": BAD_TRUNKS, "mtu": BAD_MTU, **LIMITS, "vlan_mode": BAD_MODES,
         "queues": ints(1, 16), "lcore": BAD_LCORES + [[1, 1]]},
        ["name", "bridge", "devargs"]),
    "uplink.del": ({"name": "nosuch"}, NAME, ["name"]),
    "uplink.list": ({}, {}, []),
    "port.attach": (
        {"name": "new", "bridge": "there"},
        {**NAME, "bridge": BAD_NAMES, "mode": NOT_TEXT + ["", "Server", "both", "x" * 100000],
         "socket": NOT_TEXT + ["", "x" * 100000, "/run/a\nb"], "mac": BAD_MACS, "vlan": BAD_VLAN,
         "trunks": BAD_TRUNKS, "vlan_mode": BAD_MODES, "queues": ints(1, 10**6), "mtu": BAD_MTU,
         "node": BAD_NODE, "learn": BAD_BOOL, "switching": NOT_TEXT + ["", "VEB", "vepaa"], **LIMITS,
         "tx_retries": BAD_RETRIES, "datapath": NOT_TEXT + ["", "Direct", "own"], **PARK,
         "incoming": BAD_BOOL, "lcore": BAD_LCORES + [[1, 1]]},
        ["name", "bridge"]),
    "port.detach": ({"name": "port"}, {**NAME, "force": BAD_BOOL}, ["name"]),
    "port.list": ({}, {}, []),
    "port.get": ({"name": "port"}, NAME, ["name"]),
    "port.set": (
        {"name": "port"},
        {**NAME, "mac": BAD_MACS, "vlan": BAD_VLAN, "trunks": BAD_TRUNKS, "mtu": BAD_MTU,
         "vlan_mode": BAD_MODES, "learn": BAD_BOOL, "switching": NOT_TEXT + ["", "VEB", "vepaa"],
         **LIMITS, "tx_retries": BAD_RETRIES, **PARK, "lcore": BAD_LCORES + [2, [1, 1]]},
        ["name"]),
    "port.drain": ({"name": "port"}, {**NAME, "timeout_ms": ints(1, 60000) + [0],
                                      "then": NOT_TEXT + ["", "Park", "wait"]}, ["name"]),
    "port.resume": ({"name": "port"}, NAME, ["name"]),
    "port.next_name": ({}, {"existing": NOT_LIST + [[1], [None], [[]], ["x"] * 65537]}, []),
    "port.stats": ({"name": "port"}, NAME, []),
    "lcore.list": ({}, {}, []),
    "lcore.rebalance": ({}, {"dry_run": BAD_BOOL, "across_nodes": BAD_BOOL}, []),
    "numa.show": ({}, {}, []),
    "host.capabilities": ({}, {}, []),
    "offering.resolve": (
        {"offering": {}},
        {"offering": NOT_OBJECT + [{"details": "x"}, {"details": [1]}],
         "vm": NOT_OBJECT + [{"type": 1}, {"details": 1}, {"extraconfig": 1}],
         "settings": NOT_OBJECT + [{"additional_vm_configuration": value} for value in (1, "x", {})],
         "path": NOT_TEXT + ["", "Start", "stop"]}, ["offering"]),
    "offering.interface": (
        CARD, {"mac": [*NOT_TEXT, "", "x", "01:00:5e:00:00:01"],
               "socket_dir": NOT_TEXT + ["", "relative", "/run/..", "/run/a\nb", "/" + "x" * 110],
               "queues": ints(1, 16), "interface_extra": NOT_OBJECT + [{"x": 1}]},
        ["port", "mac", "socket_dir"]),
    "offering.xml": (
        {"offering": {}, **CARD}, {"offering": NOT_OBJECT, "vm": NOT_OBJECT, "settings": NOT_OBJECT,
                                   "queues": ints(1, 16)}, ["offering"]),
    "migration.check": (
        CHECK,
        {"vm": NOT_OBJECT + [{}, {"type": 1, "state": "Running"}, {"type": "User"}],
         "offering": NOT_OBJECT + [{"details": "x"}],
         "source": NOT_OBJECT + [{}, {"name": 1}, {"name": "h1", "capabilities": 1}],
         "destinations": NOT_LIST + [[1], [{}], [{"name": "h2", "capabilities": {}}]],
         "nics": BAD_NICS}, list(CHECK)),
    "migration.prepare": (
        {"bridge": "there", "nics": []},
        {"bridge": BAD_NAMES, "mode": NOT_TEXT + ["", "x" * 100, "server\n"], "nics": BAD_NICS},
        ["bridge", "nics"]),
    "migration.abort": ({"map": {}}, {"map": BAD_MAPS}, ["map"]),
    "migration.rewrite": ({"xml": "<domain/>", "map": {}},
                          {"xml": NOT_TEXT, "map": BAD_MAPS}, ["xml", "map"]),
    "capture.start": (
        {"port": "port", "file": "/nowhere/file"},
        {"port": BAD_NAMES, "file": NOT_TEXT + ["", "relative", "x" * 100000, "/run/a\nb"],
         "snaplen": ints(1, 262144), "max_bytes": NOT_INT + [-1, 0, 4095, 2**50 + 1]}, ["port", "file"]),
    "capture.stop": ({"port": "port"}, {"port": BAD_NAMES}, ["port"]),
    "capture.list": ({}, {}, []),
    "events.subscribe": ({}, {"types": [1, "port.up", None, {}, True, [1], [None], ["nonsense"],
                                        [""], ["port.up"] * 1000]}, []),
}


def cases():
    for method, (valid, wrong, _) in METHODS.items():
        for param, values in wrong.items():
            yield pytest.param(method, valid, param, values, id=f"{method}-{param}")


@pytest.fixture(scope="module")
def daemon(sluiced):
    """With a bridge and a port on it, whose state no test here may change."""
    sluiced.rpc("bridge.add", name="there")
    sluiced.rpc("port.attach", name="port", bridge="there", vlan=7)
    before = sluiced.state()
    yield sluiced
    assert sluiced.state() == before
    sluiced.rpc("port.detach", name="port")
    sluiced.rpc("bridge.del", name="there")


@pytest.mark.parametrize("method,valid,param,values", cases())
def test_wrong_value_is_refused_by_name(daemon, method, valid, param, values):
    before = daemon.state()
    with Connection(daemon.control) as connection:
        for value in values:
            request = {"jsonrpc": "2.0", "id": 1, "method": method,
                       "params": {**valid, param: value}}
            answer = connection.ask(json.dumps(request).encode() + b"\n")
            error = answer.get("error")
            shown = repr(value)[:80]
            assert error, f"{method} took {param} = {shown}"
            if "\0" in str(value):  # no JSON parser of C must take it; the line may be refused
                continue
            assert error["code"] == INVALID_PARAMS, (shown, error)
            assert error["data"]["param"] == param, (shown, error)
            assert param in error["message"], (shown, error)
            assert len(error["message"]) < 600 and "\n" not in error["message"], error
    assert daemon.state() == before


@pytest.mark.parametrize("method", METHODS)
def test_missing_parameter_is_named(daemon, method):
    valid, _, required = METHODS[method]
    before = daemon.state()
    for param in required:
        params = {key: value for key, value in valid.items() if key != param}
        refused = daemon.refusal(method, **params)
        assert (refused.code, refused.param) == (INVALID_PARAMS, param)
    assert daemon.state() == before


@pytest.mark.parametrize("method", METHODS)
def test_unknown_parameter_is_named(daemon, method):
    valid, _, _ = METHODS[method]
    before = daemon.state()
    for unknown in ("colour", "Name", "x" * 1000):
        refused = daemon.refusal(method, **valid, **{unknown: 1})
        assert refused.code == INVALID_PARAMS
        assert refused.param and unknown.startswith(refused.param)
    assert daemon.state() == before
    assert daemon.alive()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("params", [[], ["new"], 1, "name", True, None])
def test_parameters_that_are_no_object(daemon, method, params):
    before = daemon.state()
    with Connection(daemon.control) as connection:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = connection.ask(json.dumps(request).encode() + b"\n")
    assert answer["error"]["code"] in (-32600, INVALID_PARAMS), answer
    assert daemon.state() == before


@pytest.mark.parametrize("method", ["", "port", "port.", "Port.list", "port.list ", "port.lists",
                                    "rpc.discover", "x" * 100000, "port.list\u00e4"])
def test_unknown_method(daemon, method):
    assert daemon.refusal(method).code == NO_METHOD


@pytest.mark.parametrize("method,params,code", [
    ("bridge.del", {"name": "nosuch"}, "no-such-bridge"),
    ("bridge.macs", {"name": "nosuch"}, "no-such-bridge"),
    ("bridge.add", {"name": "there"}, "bridge-exists"),
    ("port.attach", {"name": "p", "bridge": "nosuch"}, "no-such-bridge"),
    ("port.attach", {"name": "port", "bridge": "there"}, "port-exists"),
    ("port.get", {"name": "nosuch"}, "no-such-port"),
    ("port.set", {"name": "nosuch"}, "no-such-port"),
    ("port.stats", {"name": "nosuch"}, "no-such-port"),
    ("port.detach", {"name": "nosuch"}, "no-such-port"),
    ("uplink.del", {"name": "nosuch"}, "no-such-uplink"),
    ("capture.start", {"port": "nosuch", "file": "/nowhere/file"}, "no-such-port"),
    ("capture.start", {"port": "port", "file": "/nowhere/file"}, "file-refused"),
    ("capture.stop", {"port": "nosuch"}, "no-such-port"),
    ("capture.stop", {"port": "port"}, "no-such-capture"),
    ("uplink.add", {"name": "u", "bridge": "nosuch", "devargs": "net_null0"}, "no-such-bridge"),
])
def test_stable_text_codes(daemon, method, params, code):
    before = daemon.state()
    refused = daemon.refusal(method, **params)
    assert refused.text_code == code, refused
    assert daemon.state() == before


@pytest.mark.parametrize("method,params", [
    ("bridge.del", {"name": "there"}),  # a port is on it
    ("port.attach", {"name": "new", "bridge": "there", "vlan": 5, "trunks": [6]}),
    ("port.attach", {"name": "new", "bridge": "there", "node": 7}),  # on a machine with fewer
    ("port.attach", {"name": "new", "bridge": "there", "mode": "client", "socket_mode": "0600"}),
    ("port.attach", {"name": "new", "bridge": "there", "burst_kb": 1}),
    ("port.set", {"name": "port", "burst_kb": 1}),
    ("port.set", {"name": "port", "rate_mbps": 0, "burst_kb": 1}),
    ("port.set", {"name": "port", "rate_mbps": 1, "rate_kbps": 1}),
    ("port.set", {"name": "port", "vlan_mode": "native-tagged", "trunks": [5]}),
    ("port.set", {"name": "port", "vlan_mode": "native-tagged", "vlan": 5, "trunks": [0]}),
    ("port.set", {"name": "port", "vlan_mode": "trunk", "vlan": 5}),
    ("port.set", {"name": "port", "datapath": "library"}),
    ("port.set", {"name": "port"}),
    ("port.set", {"name": "port", "vlan": 5, "trunks": [6]}),
    ("uplink.add", {"name": "new", "bridge": "there", "devargs": "net_null0", "vlan": 1,
                    "trunks": [2]}),
    ("uplink.add", {"name": "new", "bridge": "there", "devargs": "net_nosuch0"}),
    ("uplink.add", {"name": "new", "bridge": "there", "devargs": "no such thing"}),
    ("uplink.add", {"name": "new", "bridge": "there", "devargs": "0000:ff:1f.7"}),
    ("uplink.add", {"name": "new", "bridge": "there",
                    "devargs": "net_af_packet0,iface=nosuchdev"}),
    ("uplink.add", {"name": "port", "bridge": "there", "devargs": "net_null0"}),
])
def test_request_that_makes_no_sense_changes_nothing(daemon, method, params):
    before = daemon.state()
    refused = daemon.refusal(method, **params)
    assert refused.text_code or refused.param, refused
    assert len(refused.message) > 20, refused
    assert daemon.state() == before
    assert daemon.alive()
