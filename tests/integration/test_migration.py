# SPDX-License-Identifier: BSD-3-Clause
"""A real guest moves between two hosts while datagrams go to it, from it, and back and forth: none is
lost, and none comes twice.

SLUICE_MIGRATION_ROUNDS (1) is how often a guest of each kind goes there and back, and a tenth of how
often with 1,000 datagrams a second: "make test-migration".
"""

import contextlib
import functools
import os
import warnings

import pytest

from frontend import end_frontend, start_frontend
from migration import GuestDied, Host, MigratingGuest, Underlay
from station import Flow, Streams
from wait import Timeout, wait_until

ROUNDS = int(os.environ.get("SLUICE_MIGRATION_ROUNDS", "1"))
GUESTS = {
    "server": {},
    "client": {"mode": "client"},
    "packed": {"packed": True},
    "two-queues": {"queues": 2},
}


class Lab:
    """Two hosts and the underlay, and a station at each of the three."""

    def __init__(self, scratch, image):
        self.image = image
        self._stack = contextlib.ExitStack()
        try:
            self.underlay = self._owned(Underlay())
            self.a, self.b = (self._owned(Host(name, self.underlay, scratch())) for name in "ab")
            self.at_underlay = self._owned(self.underlay.station(1))
            self.stations = [self.at_underlay, self._owned(self.a.station(2)),
                             self._owned(self.b.station(3))]
        except BaseException:
            self.close()
            raise

    def _owned(self, thing):
        self._stack.callback(thing.close)
        return thing

    def _booted(self, tries=2, **options):
        """A boot that stands still is tried once more, and shown as a warning."""
        guest = MigratingGuest(self.a, self.image, **options)
        try:
            guest.wait_booted()
            return guest
        except BaseException as failure:
            port = self.a.sluiced.port(guest.name)
            guest.close()
            if tries == 1 or not isinstance(failure, Timeout):
                raise
            warnings.warn(f"no boot: {failure}\n--- {port}")
        return self._booted(tries - 1, **options)

    @contextlib.contextmanager
    def guest(self, **options):
        """One that has booted on host a."""
        guest = self._booted(**options)
        try:
            yield guest
        except AssertionError:
            guest.check_console()  # a dead guest is not the switch's
            raise
        finally:
            guest.close()

    @contextlib.contextmanager
    def whole_streams(self, guest, stations=None, **rates):
        """Flows around what is done in the block: nothing of them may be lost or come twice."""
        streams = Streams(guest, guest.address, stations or self.stations, **rates)
        streams.wait_flowing()
        yield streams
        flows = streams.end()
        guest.check_console()
        print(sum(flows.values(), Flow()))
        broken = {name: str(flow) for name, flow in flows.items() if not flow.is_whole()}
        assert not broken, (broken, self.a.drops(), self.b.drops())

    def close(self):
        self._stack.close()


@pytest.fixture(scope="module")
def lab(scratch, guest_image):
    one = Lab(scratch, guest_image)
    yield one
    one.close()


@pytest.fixture
def own_lab(scratch, guest_image):
    """For tests that kill a switch: the station on it does not come back."""
    one = Lab(scratch, guest_image)
    yield one
    one.close()


def repeated_if_guest_dies(test):
    """Once: see GuestDied. pytest shows how often it was needed, as warnings."""

    @functools.wraps(test)
    def repeat(*args, **params):
        try:
            test(*args, **params)
        except GuestDied as death:
            warnings.warn(f"once repeated, as the guest's kernel died: {death}")
            test(*args, **params)

    return repeat


def there_and_back(lab, guest, streams):
    for host in (lab.b, lab.a):
        migrated = guest.migrate(host)
        print(f"to {host.name}: {migrated}")
        streams.wait_flowing()


def run_rounds(lab, rounds, stations, options, **rates):
    """There and back so often, with another guest where one has died: see GuestDied."""
    done = deaths = 0
    while done < rounds:
        try:
            with lab.guest(**options) as guest:
                while done < rounds:
                    with lab.whole_streams(guest, stations, **rates) as streams:
                        there_and_back(lab, guest, streams)
                    done += 1
        except GuestDied as death:
            deaths += 1
            warnings.warn(f"the guest's kernel died in round {done}: {death}")
            assert deaths <= 1 + rounds // 15, "more guests died than TCG is to blame for"


@pytest.mark.parametrize("kind", GUESTS)
def test_there_and_back(lab, kind):
    """With peers at the source, at the destination and elsewhere."""
    run_rounds(lab, ROUNDS, lab.stations, GUESTS[kind], to=100, back=100, echo=100)


@pytest.mark.parametrize("kind", ["server", "client"])
def test_a_thousand_a_second(lab, kind):
    """Ten migrations in a row, a hundred in the long run."""
    run_rounds(lab, 10 * ROUNDS, [lab.at_underlay], GUESTS[kind], echo=1000)


@repeated_if_guest_dies
def test_other_guests_notice_nothing(lab, directory):
    """Two that talk on the source's host."""
    paths = [lab.a.attach(name) for name in ("talker", "listener")]
    with lab.guest() as guest:
        pair = start_frontend(directory, "--rate", 1000, "--duration", 60, *paths)
        try:
            guest.migrate(lab.b)
            guest.migrate(lab.a)
            report = end_frontend(pair)
        finally:
            pair.kill()
            lab.a.detach("talker")
            lab.a.detach("listener")
    assert report["rx"] > 0
    assert (report["lost"], report["dup"], report["reordered"]) == (0, 0, 0), report


@repeated_if_guest_dies
def test_drained_and_resumed(lab):
    """What comes meanwhile waits here, what the guest sends waits in its ring."""
    with lab.guest() as guest, \
            lab.whole_streams(guest, to=100, back=100, echo=100) as streams:
        drained = lab.a.sluiced.rpc("port.drain", name=guest.name)
        assert drained["state"] == "drained", drained
        wait_until(lambda: lab.a.counters(guest.name)["parked"] >= 20, "frames to be parked")
        lab.a.sluiced.rpc("port.resume", name=guest.name)
        streams.wait_flowing()


@repeated_if_guest_dies
def test_cancelled(lab):
    """At its beginning, with memory on its way, and with the guest stopped; then it is done."""
    with lab.guest() as guest, \
            lab.whole_streams(guest, to=100, back=100, echo=100) as streams:
        for stage in ("begun", "precopy", "switchover"):
            guest.prepare(lab.b)
            guest.begin(slowly=stage != "switchover", pause=stage == "switchover")
            if stage == "precopy":
                guest.wait_precopy()
            elif stage == "switchover":
                guest.wait_status("pre-switchover")
            guest.cancel()
            streams.wait_flowing()
        there_and_back(lab, guest, streams)


@repeated_if_guest_dies
def test_more_waits_than_the_guests_ring_holds(lab):
    """QEMU's has 256 buffers, and the guest that arrives needs some time before it looks."""
    with lab.guest() as guest, \
            lab.whole_streams(guest, [lab.at_underlay], to=500, echo=500) as streams:
        guest.prepare(lab.b)
        guest.begin(pause=True)
        guest.wait_status("pre-switchover")
        wait_until(lambda: lab.a.counters(guest.name)["parked"] > 300, "frames to be parked")
        guest.proceed()
        guest.finish()
        streams.wait_flowing()


@repeated_if_guest_dies
def test_other_qemu_killed_at_the_switchover(lab):
    with lab.guest() as guest, \
            lab.whole_streams(guest, to=100, back=100, echo=100) as streams:
        guest.prepare(lab.b)
        guest.begin(pause=True)
        guest.wait_status("pre-switchover")
        guest.target[1].close()
        guest.proceed()
        guest.wait_status("failed")
        guest.abandon()
        streams.wait_flowing()


@repeated_if_guest_dies
def test_destination_sluiced_killed(own_lab):
    """While the guest's memory is on its way."""
    lab = own_lab
    with lab.guest() as guest, \
            lab.whole_streams(guest, lab.stations[:2], to=100, back=100, echo=100) as streams:
        guest.prepare(lab.b)
        guest.begin(slowly=True)
        guest.wait_precopy()
        lab.b.sluiced.kill()
        lab.b.sluiced.start()
        lab.b.wait_connected(guest.name)
        guest.hurry()
        guest.finish()
        streams.wait_flowing()


@repeated_if_guest_dies
def test_source_sluiced_killed(own_lab):
    """While the guest's memory is on its way: what goes through it then is lost, and no more. The
    guest arrives or stays, as QEMU likes, and is reached."""
    lab = own_lab
    with lab.guest() as guest:
        streams = Streams(guest, guest.address, [lab.at_underlay], to=100, echo=100)
        streams.wait_flowing()
        guest.prepare(lab.b)
        guest.begin(slowly=True)
        guest.wait_precopy()
        lab.a.sluiced.kill()
        lab.a.sluiced.start()
        lab.a.wait_guest(guest.name)  # QEMU takes a link that is down along
        guest.hurry()
        if guest.wait_status("completed", "failed") == "completed":
            guest.finish()
        else:
            guest.abandon()
        streams.wait_flowing(30)
        flows = streams.end()
        print(flows)
        assert all(flow.duplicates == flow.corrupt == 0 for flow in flows.values()), flows
        with lab.whole_streams(guest, [lab.at_underlay], to=100, back=100, echo=100):
            guest.migrate(lab.a if guest.host is lab.b else lab.b)


@repeated_if_guest_dies
def test_underlay_cut(lab):
    """The announcements of the guest's new place are lost; what is for it waits until one of its
    frames gets through."""
    with lab.guest() as guest, lab.whole_streams(guest, [lab.stations[1]], to=100) as streams:
        guest.prepare(lab.b)
        lab.underlay.set_link(lab.b.underlay_port, False)
        guest.begin()
        guest.wait_status("completed")
        lab.b.wait_guest(guest.name)
        lab.underlay.set_link(lab.b.underlay_port, True)
        print(guest.finish())
        streams.wait_reached()
