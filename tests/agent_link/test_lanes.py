"""Lanes: what waits is handed out in order, to one at a time, and never gets stuck. (TUNNEL.md: I3, I4, I7.)"""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from agent_link import lanes
from agent_link.dispatch import set_aside
from agent_link.lanes import Finish
from agent_link.models import EnvelopeState, Lane
from tests.agent_link.notes import Holder, due_in, envelope, expire, open_lane, put, row, together
from tests.make import run

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def test_envelopes_come_one_at_a_time_with_gapless_numbers(ann: Holder, lane: str) -> None:
    """Numbers on the wire count work alone: what the lane holds beside it leaves no gap."""
    put(lane, 2, beside=3)
    claims = []
    for _ in range(5):
        claims.append(ann.take(lane))
        assert ann.claim(lane) is None, "a second one was handed out while the first is out"
        assert ann.reply(claims[-1]) == "stored"
    assert [claim.seq for claim in claims] == [1, 2, 3, 4, 5]
    assert [envelope(claim).seq for claim in claims] == [1, 2, 3, 7, 8]
    assert ann.claim(lane) is None, "nothing is left"


def test_each_hand_out_has_a_higher_token_and_counts(ann: Holder, ben: Holder, lane: str) -> None:
    first = ann.take(lane)
    expire(lane)
    second = ben.take(lane)
    assert second.envelope == first.envelope
    assert second.token > first.token
    assert (first.attempt, second.attempt) == (1, 2)
    assert ben.reply(second) == "stored"
    assert ben.take(lane).attempt == 1, "the next envelope starts afresh"


def test_of_two_wishes_in_one_batch_the_first_gets_the_lane(ann: Holder, ben: Holder, lane: str) -> None:
    """Whoever is given the claim is whom the row names: else its return would not be recognised."""
    got, nothing = run(lanes.claim, ann.wants(lane), ben.wants(lane))
    assert nothing is None
    assert (row(lane).agent_id, row(lane).connection) == (UUID(hex=ann.id), UUID(hex=ann.connection))
    assert ann.adopt(got)


def test_work_that_comes_while_one_is_out_waits_for_it(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    put(lane)
    assert ann.claim(lane) is None
    assert due_in(lane) > 20, "an arrival does not cut a lease short"
    ann.reply(claim)
    assert due_in(lane) <= 0, "and the end of the lease frees the next at once"


def test_an_extended_lease_lasts_longer_and_a_lost_one_is_lost(ann: Holder, ben: Holder, lane: str) -> None:
    claim = ann.take(lane)
    expire(lane)
    assert ann.extend(claim), "late, but nobody took it meanwhile"
    assert due_in(lane) > 20
    expire(lane)
    ben.take(lane)
    assert not ann.extend(claim)


def test_the_loser_of_a_lease_hears_so_even_beside_the_winner(ann: Holder, ben: Holder, lane: str) -> None:
    """Both ask in the same batch."""
    lost = ann.take(lane)
    expire(lane)
    won = ben.take(lane)
    asked = [{"lane": lane, "token": claim.token, "lease_s": 30.0} for claim in (lost, won)]
    assert run(lanes.extend, *asked) == [False, True]


def test_more_time_asked_for_what_is_finished_delays_nothing(ann: Holder, lane: str) -> None:
    """The agent's `extend` and its last `reply` may cross."""
    claim = ann.take(lane)
    ann.reply(claim)
    assert not ann.extend(claim)
    assert due_in(lane) <= 0, "the next envelope would wait for a lease that nobody holds"


def test_a_connection_that_ends_gives_back_what_it_held(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    assert ann.release(claim, after_s=5.0)
    assert 4 < due_in(lane) <= 5
    expire(lane)
    assert ann.take(lane).attempt == 2


def test_only_the_connection_that_holds_it_gives_it_back(ann: Holder, lane: str) -> None:
    """The old connection's end must not free what the new one has adopted."""
    claim = ann.take(lane)
    old = ann.connection
    assert ann.adopt(claim)
    new, ann.connection = ann.connection, old
    assert not ann.release(claim)
    ann.connection = new
    assert due_in(lane) > 20


def test_giving_back_what_is_finished_delays_nothing(ann: Holder, lane: str) -> None:
    """The socket may break while the last reply is being committed."""
    claim = ann.take(lane)
    ann.reply(claim)
    assert not ann.release(claim, after_s=5.0)
    assert due_in(lane) <= 0


def test_what_never_reached_an_agent_was_no_attempt(ann: Holder, lane: str) -> None:
    for _ in range(3):
        assert ann.release(ann.take(lane), untried=1)
    assert ann.take(lane).attempt == 1


def test_an_agent_that_comes_back_keeps_its_lease(ann: Holder, ben: Holder, lane: str) -> None:
    claim = ann.take(lane)
    ann.release(claim, after_s=5.0)
    assert ann.adopt(claim)
    assert due_in(lane) > 20
    assert not ben.adopt(claim), "another agent cannot say that it was its"
    assert ann.reply(claim) == "stored"


def test_an_agent_that_comes_back_too_late_drops_it(ann: Holder, ben: Holder, lane: str) -> None:
    claim = ann.take(lane)
    expire(lane)
    ben.take(lane)
    assert not ann.adopt(claim)
    ann.reply(claim)
    assert not ann.adopt(claim), "nor what is finished"


def test_an_envelope_set_aside_lets_the_lane_go_on(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    run(set_aside, Finish(claim.envelope, state=EnvelopeState.DEAD, error="x" * 999))
    assert envelope(claim).state == EnvelopeState.DEAD
    following = ann.take(lane)
    assert (following.seq, following.attempt) == (2, 1)
    assert ann.reply(claim) == "stale"


def test_due_is_what_has_work_and_no_lease(ann: Holder, stranger: Holder, lane: str) -> None:
    held, empty = open_lane(ann.workspace, 1), open_lane(ann.workspace)
    ann.take(held)
    (found,) = run(lanes.due, ann.workspace)
    assert found == [lane], f"neither {held} nor {empty}"
    assert run(lanes.due, stranger.workspace, ann.workspace) == [[], [lane]]


def test_the_longest_waiting_are_due_first(ann: Holder) -> None:
    opened = [open_lane(ann.workspace, 1) for _ in range(4)]
    expire(opened[2])
    assert run(lanes.due, ann.workspace) == [[opened[n] for n in (2, 0, 1, 3)]]


def test_a_busy_workspace_hides_no_other_ones_work(ann: Holder, stranger: Holder) -> None:
    for _ in range(lanes.MOST_DUE + 1):
        open_lane(ann.workspace, 1)
    late = open_lane(stranger.workspace, 1)
    ours, theirs = run(lanes.due, ann.workspace, stranger.workspace)
    assert len(ours) == lanes.MOST_DUE
    assert theirs == [late]


@pytest.mark.django_db(transaction=True)
def test_eight_who_race_get_each_envelope_once(ann: Holder) -> None:
    """I3 between processes: eight connections want every lane at the same moment, again and again."""
    opened = [open_lane(ann.workspace, 4) for _ in range(6)]

    def work() -> list[str]:
        got = []
        until = time.monotonic() + 10
        while Lane.objects.filter(pending__gt=0).exists() and time.monotonic() < until:
            claims = [claim for claim in run(lanes.claim, *map(ann.wants, opened)) if claim]
            got += [claim.envelope for claim in claims]
            for claim in claims:
                assert ann.reply(claim) == "stored"
        return got

    got = together(*[work] * 8)
    envelopes = [one for each in got for one in each]
    assert len(envelopes) == len(set(envelopes)) == 24
    assert [(row(lane).done, row(lane).pending) for lane in opened] == [(4, 0)] * 6
