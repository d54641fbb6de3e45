"""Answers: accepted once, fenced by the lane's token, and only by whom they concern. (TUNNEL.md: I4, I5.)"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_link import answers
from agent_link.answers import judge
from agent_link.models import EnvelopeState, Reply
from local_agent.protocol.ids import new_id
from tests.agent_link.notes import Holder, due_in, envelope, expire, open_lane, row, together
from tests.make import run

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def test_an_answer_is_stored_once_however_often_it_comes(ann: Holder, lane: str) -> None:
    claim, r = ann.take(lane), new_id()
    assert ann.reply(claim, r) == "stored"
    assert ann.reply(claim, r) == "dup"
    assert Reply.objects.filter(envelope_id=UUID(hex=claim.envelope)).count() == 1


def test_the_same_answer_twice_in_one_batch(ann: Holder, lane: str) -> None:
    answer = ann.answer(ann.take(lane))
    assert run(answers.accept, answer, answer) == ["stored", "dup"]
    assert Reply.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_answer_at_two_doors_at_once(ann: Holder) -> None:
    """Over the socket and over HTTP, in two processes: one stores it, the other knows it."""
    for final in (True, False) * 5:
        claim = ann.take(open_lane(ann.workspace, 1))
        answer = ann.answer(claim, part=1, final=final)
        verdicts = together(*[partial(run, answers.accept, answer)] * 4)
        assert sorted(verdicts) == [["dup"], ["dup"], ["dup"], ["stored"]]


@pytest.mark.django_db(transaction=True)
def test_two_answers_to_one_envelope_at_once(ann: Holder) -> None:
    """Who held it first and who holds it now answer together: the customer gets one."""
    for _ in range(5):
        lane = open_lane(ann.workspace, 1)
        first = ann.take(lane)
        expire(lane)
        second = ann.take(lane)
        verdicts = together(partial(ann.reply, first), partial(ann.reply, second))
        assert sorted(verdicts) == ["stale", "stored"]
        assert row(lane).done == 1


def test_parts_are_kept_until_the_final_one(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    parts = [ann.answer(claim, part=part, final=part == 2) for part in range(3)]
    assert run(answers.accept, *parts[:2]) == ["stored", "stored"]
    assert envelope(claim).state == EnvelopeState.NEW
    assert run(answers.accept, parts[2], ann.answer(claim, part=3, final=False)) == ["stored", "stale"]
    assert envelope(claim).state == EnvelopeState.DONE


def test_a_whole_answer_that_comes_late_is_taken_once(ann: Holder, ben: Holder, lane: str) -> None:
    """Better an answer than two: whoever works on it by then is fenced off."""
    late = ann.take(lane)
    expire(lane)
    current = ben.take(lane)
    assert ann.reply(late) == "stored"
    assert ben.reply(current) == "stale"
    assert not ben.extend(current)
    assert not ben.end(current)
    assert ben.take(lane).seq == 2


def test_a_piece_of_an_answer_that_comes_late_is_not(ann: Holder, ben: Holder, lane: str) -> None:
    """Its other pieces may be lost, and the next agent begins afresh."""
    late = ann.take(lane)
    assert ann.reply(late, part=0, final=False) == "stored"
    expire(lane)
    current = ben.take(lane)
    assert ann.reply(late, part=1, final=True) == "stale"
    assert ben.reply(current) == "stored"


def test_a_token_from_the_future_is_stale(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    assert ann.reply(replace(claim, token=claim.token + 1)) == "stale"
    assert not ann.end(replace(claim, token=claim.token + 1))
    assert ann.reply(claim) == "stored"


def test_only_the_envelope_that_is_out_can_be_answered(ann: Holder, lane: str) -> None:
    """An answer to one further back would end it before its turn, and those before it would never come."""
    claim = ann.take(lane)
    second = envelope(claim).lane.envelopes.get(seq=2)
    ahead = replace(claim, envelope=second.pk.hex)
    assert ann.reply(ahead) == "stale"
    assert not ann.end(ahead)
    assert not ann.adopt(ahead)
    assert ann.reply(claim) == "stored"
    assert ann.take(lane).envelope == second.pk.hex


def test_an_agent_of_another_workspace_is_not_heard(ann: Holder, stranger: Holder, lane: str) -> None:
    claim = ann.take(lane)
    before = row(lane)
    assert stranger.reply(claim) == "stale"
    assert not stranger.end(claim)
    assert not stranger.end(claim, "retry")
    assert not stranger.adopt(claim)
    assert row(lane).__dict__ | {"_state": 0} == before.__dict__ | {"_state": 0}
    assert ann.reply(claim) == "stored"


def test_not_even_beside_an_answer_that_is_good(ann: Holder, stranger: Holder, lane: str) -> None:
    """One batch holds answers of many agents; the verdict on one must not serve for another."""
    claim = ann.take(lane)
    own = stranger.take(open_lane(stranger.workspace, 1))
    r = new_id()
    foreign = replace(stranger.answer(own, r), envelope=claim.envelope)
    assert run(answers.accept, foreign, stranger.answer(own, r)) == ["stale", "stored"]
    assert envelope(claim).state == EnvelopeState.NEW
    assert envelope(own).state == EnvelopeState.DONE
    endings = [ann.ending(claim, "retry"), stranger.ending(claim)]
    assert run(answers.end, *endings) == [True, False]
    assert envelope(claim).state == EnvelopeState.NEW


def test_a_repeated_id_with_another_envelope_is_no_second_answer(ann: Holder, lane: str) -> None:
    claim, other, r = ann.take(lane), ann.take(open_lane(ann.workspace, 1)), new_id()
    assert run(answers.accept, ann.answer(claim, r), ann.answer(other, r)) == ["stored", "dup"]
    assert envelope(other).state == EnvelopeState.NEW


@pytest.mark.parametrize(
    ("status", "state"),
    [("ok", EnvelopeState.DONE), ("error", EnvelopeState.DEAD), ("reject", EnvelopeState.DEAD)],
)
def test_an_end_without_an_answer(ann: Holder, lane: str, status: str, state: EnvelopeState) -> None:
    claim = ann.take(lane)
    assert ann.end(claim, status)
    assert envelope(claim).state == state
    assert not ann.end(claim, status), "a second time it is over already"
    assert ann.take(lane).seq == 2


def test_try_again_later_means_not_before(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    assert ann.end(claim, "retry", retry_s=60.0)
    assert 55 < due_in(lane) <= 60
    assert not ann.extend(claim), "who gave it back does not hold it"
    assert 55 < due_in(lane) <= 60
    expire(lane)
    again = ann.take(lane)
    assert (again.envelope, again.attempt) == (claim.envelope, 2)


def test_an_answer_says_when_the_agent_had_the_message(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    answer = replace(ann.answer(claim), acknowledged_at=1_700_000_000.25)
    run(answers.accept, answer)
    noted = envelope(claim).acknowledged_at
    assert noted is not None
    assert noted.timestamp() == 1_700_000_000.25


def test_what_cannot_be_an_answer_is_stale(ann: Holder, lane: str) -> None:
    claim = ann.take(lane)
    assert ann.reply(replace(claim, envelope=new_id())) == "stale"
    assert ann.reply(claim, part=2**15) == "stale"
    assert ann.reply(claim, part=2**15 - 1, final=False) == "stored"


def test_known_answers(ann: Holder, lane: str) -> None:
    r = new_id()
    ann.reply(ann.take(lane), r)
    assert run(answers.known, r, new_id(), r) == [True, False, True]


@given(
    known=st.booleans(),
    head=st.booleans(),
    given=st.integers(0, 3),
    token=st.integers(0, 3),
    part=st.integers(0, 1),
    final=st.booleans(),
)
def test_the_verdict(known: bool, head: bool, given: int, token: int, part: int, final: bool) -> None:
    answer = answers.Answer("r", "e", given, part, final, {}, "w", "a", 0.0)
    verdict = judge(answer, known=known, head=head, token=token)
    assert (verdict == "dup") == known
    if verdict == "stored":
        assert head
        assert given == token or (given < token and part == 0 and final)
