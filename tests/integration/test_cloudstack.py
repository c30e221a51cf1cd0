# SPDX-License-Identifier: BSD-3-Clause
"""A guest starts, migrates and fails in the order of CloudStack's agent: whatever goes wrong, no port
and no socket is left on either host."""

import json

import pytest

from cloudstack import Agent, AgentDied, StepFailed, Vm, offering
from frames import frame, same
from migration import Host, Underlay
from vhostguest import VhostGuest

MACS = ["02:00:18:91:00:10", "02:00:18:91:00:11"]
PEER = "02:00:18:91:00:99"
BROADCAST = "ff:ff:ff:ff:ff:ff"


@pytest.fixture(scope="module")
def hosts(scratch):
    underlay = Underlay()
    pair = []
    try:
        for name in "ab":
            pair.append(Host(name, underlay, scratch()))
        yield pair
    finally:
        for host in pair:
            host.close()
        underlay.close()


@pytest.fixture
def agents(hosts):
    """Both hosts are as they were, in the end, without any clearing up here."""
    pair = [Agent(host) for host in hosts]
    yield pair
    domains = [name for agent in pair for name in agent.libvirt.domains]
    left = [agent.leftovers() for agent in pair]
    for agent in pair:  # so that the next test has what it needs
        for name in list(agent.libvirt.domains):
            agent.libvirt.stop(name)
        agent.recover()
    assert (domains, left) == ([], [([], []), ([], [])])


@pytest.fixture(params=["server", "client"])
def vm(request):
    return Vm("i-2-10-VM", MACS, offering(request.param))


def code_of(failed):
    return json.loads(str(failed.value))["data"]["code"]


def test_guest_starts_and_stops(agents, vm):
    source, _ = agents
    source.start(vm)
    ports = {port["name"]: port for port in source.ctl("port", "list")}
    assert list(ports) == ["csdpdk-1", "csdpdk-2"]
    assert [port["mac"] for port in ports.values()] == [[mac] for mac in MACS]
    assert [port["vlan"] for port in ports.values()] == [100, None]
    source.stop(vm)


@pytest.mark.parametrize("step", ["attached-1", "attached-2", "domain", "booted"])
def test_start_that_fails_leaves_nothing(agents, vm, step):
    source, _ = agents
    source.trouble = {step: StepFailed}
    with pytest.raises(StepFailed):
        source.start(vm)
    assert source.leftovers() == ([], [])
    source.start(vm)  # the names are free again
    assert source.leftovers()[0] == ["csdpdk-1", "csdpdk-2"]
    source.stop(vm)


def test_offering_that_is_wrong_makes_no_port(agents):
    source, _ = agents
    with pytest.raises(StepFailed) as failed:
        source.start(Vm("i-2-10-VM", MACS, offering("klient")))
    assert code_of(failed) == "invalid-mode"
    assert source.leftovers() == ([], [])


def test_second_port_that_cannot_be_made_takes_the_first_away(agents):
    source, _ = agents
    obstacle = source.host.sluiced.socket_dir / "csdpdk-2"
    obstacle.write_text("somebody's file")
    try:
        with pytest.raises(StepFailed) as failed:
            source.start(Vm("i-2-10-VM", MACS, offering()))
        assert code_of(failed) == "socket-path-refused"
        assert source.leftovers() == ([], ["csdpdk-2"])
    finally:
        obstacle.unlink()


@pytest.mark.parametrize("step", ["attached-1", "attached-2", "domain"])
def test_agent_that_dies_in_a_start_repeats_it(agents, vm, step):
    source, _ = agents
    source.trouble = {step: AgentDied}
    with pytest.raises(AgentDied):
        source.start(vm)
    assert source.leftovers()[0]
    source.recover()
    assert source.leftovers() == ([], [])
    source.start(vm)
    source.recover()  # which is harmless to a guest that runs
    assert len(source.leftovers()[0]) == 2
    source.stop(vm)


# ---- migration

def check_eligible(vm, agents):
    hosts = [{"name": agent.host.name, **agent.ctl("host", "capabilities")} for agent in agents]
    verdict = agents[0].call("migration", "check", vm={**vm.vm, "state": "Running"},
                             offering=vm.offering, source=hosts[0], destinations=hosts)
    assert verdict["dpdk_vm"] and verdict["suitable"] == ["b"]
    assert verdict["refused"] == [{"name": "a", "reason": "same-host"}]


def move(vm, source, destination):
    prepared = destination.prepare(vm)
    try:
        source.migrate(vm, prepared, destination.libvirt)
    except StepFailed:
        destination.rollback(prepared)
        raise


def test_guest_migrates(agents, vm):
    source, destination = agents
    source.start(vm)
    check_eligible(vm, agents)
    source.ctl("port", "attach", "peer", "--bridge", "br0", "--vlan", "100", "--mac", PEER)
    peer = VhostGuest.at(source.host.sluiced.port("peer")["socket"])
    try:
        move(vm, source, destination)
        destination.wait_up(vm)
        assert source.leftovers() == (["peer"], ["peer"])
        sent = frame(BROADCAST, MACS[0])
        destination.libvirt.domains[vm.name][1][0].send(sent)
        peer.recv_until(lambda got: same(got, sent))
    finally:
        peer.close()
        source.ctl("port", "detach", "peer", "--force")
    destination.stop(vm)


def test_guest_migrates_there_and_back(agents, vm):
    """The names of ports are of their host; those of the other one are taken otherwise."""
    source, destination = agents
    other = Vm("i-2-11-VM", [PEER], offering(), vlans=["7"])
    destination.start(other)
    source.start(vm)
    move(vm, source, destination)
    destination.wait_up(vm)
    assert source.leftovers() == ([], [])
    assert destination.leftovers()[0] == ["csdpdk-1", "csdpdk-2", "csdpdk-3"]
    move(vm, destination, source)
    source.wait_up(vm)
    assert destination.leftovers()[0] == ["csdpdk-1"]
    source.stop(vm)
    destination.stop(other)


@pytest.mark.parametrize("step", ["rewriting", "rewritten", "moving"])
def test_migration_that_fails_leaves_the_guest_where_it_is(agents, vm, step):
    source, destination = agents
    source.start(vm)
    source.trouble = {step: StepFailed}
    with pytest.raises(StepFailed):
        move(vm, source, destination)
    destination.wait_clean()
    source.wait_up(vm)
    assert source.leftovers()[0] == ["csdpdk-1", "csdpdk-2"]
    move(vm, source, destination)
    destination.stop(vm)


def test_prepare_that_fails_half_way_makes_nothing(agents, vm):
    source, destination = agents
    source.start(vm)
    obstacle = destination.host.sluiced.socket_dir / "csdpdk-2"
    wrong = Vm(vm.name, [MACS[0], "02:00"], vm.offering)
    with pytest.raises(StepFailed) as failed:
        destination.prepare(wrong)
    assert code_of(failed) == "bad-parameter"
    assert destination.leftovers() == ([], [])
    if "client" not in vm.offering.values():  # QEMU makes the socket there
        obstacle.write_text("somebody's file")
        with pytest.raises(StepFailed) as failed:
            destination.prepare(vm)
        assert code_of(failed) == "socket-path-refused"
        assert destination.leftovers() == ([], ["csdpdk-2"])
        obstacle.unlink()
    source.stop(vm)


def test_map_of_half_a_guest_moves_nothing(agents, vm):
    source, destination = agents
    source.start(vm)
    prepared = destination.prepare(Vm(vm.name, MACS[:1], vm.offering))
    with pytest.raises(StepFailed) as failed:
        source.migrate(vm, prepared, destination.libvirt)
    assert code_of(failed) == "no-mapping-for-mac"
    destination.rollback(prepared)
    source.stop(vm)


@pytest.mark.parametrize("arrived", [False, True])
def test_guest_is_stopped_while_it_moves(agents, vm, arrived):
    source, destination = agents
    source.start(vm)
    prepared = destination.prepare(vm)
    new = source.rewrite(vm, prepared)
    if arrived:
        destination.libvirt.start(new)
        destination.wait_up(vm)
    source.stop(vm)
    if arrived:
        destination.libvirt.stop(vm.name)
    assert sorted(destination.rollback(prepared)) == ["csdpdk-1", "csdpdk-2"]


def test_rollback_may_be_repeated(agents, vm):
    source, destination = agents
    source.start(vm)
    prepared = destination.prepare(vm)
    assert sorted(destination.rollback(prepared)) == ["csdpdk-1", "csdpdk-2"]
    assert destination.rollback(prepared) == []
    # It came to the wrong host: what is there is the guest's.
    if "client" not in vm.offering.values():
        with pytest.raises(StepFailed) as failed:
            source.rollback(prepared)
        assert code_of(failed) == "not-prepared"
    assert len(source.leftovers()[0]) == 2
    source.stop(vm)


def test_agent_that_dies_after_prepare_repeats_it(agents, vm):
    """The answer is lost, and so is the map."""
    source, destination = agents
    source.start(vm)
    destination.trouble = {"prepared": AgentDied}
    with pytest.raises(AgentDied):
        destination.prepare(vm)
    with pytest.raises(StepFailed) as failed:
        destination.prepare(vm)
    assert code_of(failed) == "already-prepared"
    destination.recover()
    move(vm, source, destination)
    destination.stop(vm)


@pytest.mark.parametrize("step", ["rewritten", "moved"])
def test_agent_that_dies_in_a_migration(agents, vm, step):
    """Before the guest has moved, what was prepared is taken back; after, what it left."""
    source, destination = agents
    source.start(vm)
    source.trouble = {step: AgentDied}
    prepared = destination.prepare(vm)
    with pytest.raises(AgentDied):
        source.migrate(vm, prepared, destination.libvirt)
    moved = vm.name in destination.libvirt.domains
    assert moved == (step == "moved")
    if not moved:
        destination.rollback(prepared)
    source.recover()
    (destination if moved else source).wait_up(vm)
    (destination if moved else source).stop(vm)


def test_sluiced_dies_under_a_guest_that_has_arrived(agents, vm):
    """So that nobody can take back what was prepared, until it is there again."""
    source, destination = agents
    source.start(vm)
    prepared = destination.prepare(vm)
    destination.libvirt.start(source.rewrite(vm, prepared))
    destination.wait_up(vm)
    destination.host.sluiced.kill()
    destination.libvirt.stop(vm.name)
    with pytest.raises(StepFailed):
        destination.rollback(prepared)
    destination.host.sluiced.start()
    assert sorted(destination.rollback(prepared)) == ["csdpdk-1", "csdpdk-2"]
    source.stop(vm)


def test_map_of_an_older_migration_takes_nothing_of_others(agents, vm):
    _, destination = agents
    prepared = destination.prepare(vm)
    destination.rollback(prepared)
    other = Vm("i-2-11-VM", [PEER], offering(), vlans=["7"])  # which gets the first name
    destination.start(other)
    with pytest.raises(StepFailed) as failed:
        destination.rollback(prepared)
    assert code_of(failed) == "not-prepared"
    assert destination.leftovers()[0] == ["csdpdk-1"]
    destination.stop(other)


def test_sluiced_restarts_between_prepare_and_migration(agents, vm):
    source, destination = agents
    source.start(vm)
    prepared = destination.prepare(vm)
    destination.host.sluiced.stop()
    destination.host.sluiced.start()
    source.migrate(vm, prepared, destination.libvirt)
    destination.wait_up(vm)
    destination.stop(vm)
