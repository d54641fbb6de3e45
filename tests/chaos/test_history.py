"""The checker finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.history import History, Part, Rows, Said, judge

MESSAGES = [Said(1, 1), Said(2, 1), Said(1, 2), Said(2, 2)]
GOOD = History(
    accepted=MESSAGES,
    calls=[(one.chat, one.echo) for one in MESSAGES],
    rows=Rows(
        inbound=[(one.chat, one.text) for one in MESSAGES],
        envelopes={"done": 4},
        parts=[Part(one.text, one.echo, "sent") for one in MESSAGES],
    ),
)


def with_part(one: Said, state: str) -> History:
    parts = [replace(part, state=state) if part.id == one.text else part for part in GOOD.rows.parts]
    return replace(GOOD, rows=replace(GOOD.rows, parts=parts))


def without_call(history: History, one: Said) -> History:
    return replace(history, calls=[call for call in history.calls if call[1] != one.echo])


def test_a_good_history_holds() -> None:
    verdict = judge(GOOD)
    assert verdict.holds
    assert (verdict.messages, verdict.unknown, str(verdict)) == (4, {}, "nothing is wrong")


def test_chats_may_overtake_each_other() -> None:
    assert judge(replace(GOOD, calls=[GOOD.calls[n] for n in (1, 3, 0, 2)])).holds


@pytest.mark.parametrize("reached", [True, False])
def test_unknown_is_allowed_where_studio_was_killed_during_the_call(reached: bool) -> None:
    history = replace(with_part(Said(1, 1), "unknown"), interrupted=frozenset({"1:1"}))
    verdict = judge(history if reached else without_call(history, Said(1, 1)))
    assert verdict.holds
    assert verdict.unknown == {Said(1, 1): reached}


def test_a_message_that_never_arrived_is_lost() -> None:
    assert judge(without_call(GOOD, Said(2, 2))).lost == [Said(2, 2)]


def test_a_message_that_arrived_twice_is_duplicated() -> None:
    assert judge(replace(GOOD, calls=[*GOOD.calls, GOOD.calls[-1]])).duplicated == [Said(2, 2)]


def test_twice_is_twice_for_an_unknown_one_too() -> None:
    history = replace(with_part(Said(2, 2), "unknown"), interrupted=frozenset({"2:2"}))
    verdict = judge(replace(history, calls=[*GOOD.calls, GOOD.calls[-1]]))
    assert verdict.duplicated == [Said(2, 2)]
    assert not verdict.holds


def test_a_later_message_first_is_out_of_order() -> None:
    verdict = judge(replace(GOOD, calls=[GOOD.calls[n] for n in (2, 1, 0, 3)]))
    assert verdict.reordered == [(Said(1, 2), Said(1, 1))]
    assert not verdict.holds


def test_an_old_message_again_after_a_newer_one_is_both() -> None:
    verdict = judge(replace(GOOD, calls=[*GOOD.calls, GOOD.calls[0]]))
    assert (verdict.duplicated, verdict.reordered) == ([Said(1, 1)], [(Said(1, 2), Said(1, 1))])


def rows(**changed: object) -> Callable[[], History]:
    return lambda: replace(GOOD, rows=replace(GOOD.rows, **changed))  # type: ignore[arg-type]


WRONG = {
    "an answer in another chat": lambda: replace(GOOD, calls=[*GOOD.calls, (2, "echo 1:1")]),
    "an answer to nothing": lambda: replace(GOOD, calls=[*GOOD.calls, (1, "echo 1:99")]),
    "another text": lambda: replace(GOOD, calls=[*GOOD.calls, (1, "hello")]),
    "accepted and not stored": rows(inbound=GOOD.rows.inbound[:-1]),
    "stored and not accepted": rows(inbound=[*GOOD.rows.inbound, (3, "3:1")]),
    "stored twice": rows(inbound=[*GOOD.rows.inbound, (1, "1:2")]),
    "stored in another order": rows(inbound=[GOOD.rows.inbound[n] for n in (2, 1, 0, 3)]),
    "an envelope set aside": rows(envelopes={"done": 3, "dead": 1}),
    "an envelope that waits": rows(envelopes={"done": 4, "new": 1}),
    "a lane with work": rows(lanes_pending=1),
    "a conversation with parts to send": rows(sends_pending=1),
    "an answer without a part": rows(parts=GOOD.rows.parts[:-1]),
    "an answer with two parts": rows(parts=[*GOOD.rows.parts, Part("x", "echo 1:1", "sent")]),
    "sent, and its part still waits": lambda: with_part(Said(1, 1), "ready"),
    "sent, and its part failed": lambda: with_part(Said(1, 1), "failed"),
    "unknown without a kill": lambda: with_part(Said(1, 1), "unknown"),
    "unknown where another part was interrupted": lambda: replace(
        with_part(Said(1, 1), "unknown"), interrupted=frozenset({"1:2"})
    ),
    "interrupted, and said to be sent": lambda: replace(GOOD, interrupted=frozenset({"1:1"})),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_it_is_wrong(make: Callable[[], History]) -> None:
    verdict = judge(make())
    assert not verdict.holds
    assert verdict.wrong
