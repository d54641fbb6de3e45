"""What is in flight, and the credit that limits it (I6), are the same at both ends."""

from __future__ import annotations

import pytest

from local_agent import protocol as p

from .samples import D, agent, hello, msg, numbered, reply, studio, welcome


class Pair:
    """Both ends of one connection; what one says the other hears at once."""

    def __init__(self, credits: int = 4, max_credits: int = 8) -> None:
        self.agent, self.studio = agent(credits, max_credits), studio(credits, max_credits)

    def agent_says(self, frame: p.Frame) -> None:
        self.agent.send(frame)
        for text in self.agent.to_send():
            self.studio.receive(text, 0.0)

    def studio_says(self, frame: p.Frame) -> None:
        self.studio.send(frame)
        for text in self.studio.to_send():
            self.agent.receive(text, 0.0)

    @property
    def inflight(self) -> dict[str, int]:
        assert self.agent.inflight == self.studio.inflight
        assert self.agent.close is self.studio.close is None
        return self.studio.inflight


def test_a_message_takes_a_credit_and_without_one_it_may_not_be_sent() -> None:
    pair = Pair(credits=2)
    pair.studio_says(msg("a"))
    pair.studio_says(msg("b"))
    assert pair.studio.free_credit == 0
    with pytest.raises(p.IllegalFrame, match="credit"):
        pair.studio.send(msg("c"))
    assert pair.inflight == {"a": 1, "b": 1}


def test_sending_the_same_message_again_takes_no_second_credit() -> None:
    pair = Pair(credits=1)
    pair.studio_says(msg("a", lease=1))
    pair.studio_says(msg("a", lease=2))
    assert pair.inflight == {"a": 2}


@pytest.mark.parametrize(("asked", "limit", "credit"), [(4, 8, 4), (9, 8, 8), (0, 8, 0)])
def test_credit_is_what_the_agent_asks_within_studios_limit(asked: int, limit: int, credit: int) -> None:
    pair = Pair(credits=asked, max_credits=limit)
    assert pair.agent.credit == pair.studio.credit == credit
    pair.agent_says(p.Credit(set=asked + 1))
    assert pair.agent.credit == pair.studio.credit == min(asked + 1, limit)


def test_lowering_the_credit_below_what_is_held_leaves_none_free() -> None:
    pair = Pair()
    pair.studio_says(msg("a"))
    pair.studio_says(msg("b"))
    pair.agent_says(p.Credit(set=1))
    assert (pair.studio.free_credit, len(pair.inflight)) == (0, 2)


ENDS = [
    ("the final reply is stored", [reply(), p.Replied(r=reply().r, d=D, status="stored")], {}),
    ("the final reply was known", [reply(), p.Replied(r=reply().r, d=D, status="dup")], {}),
    ("the final reply is stale", [reply(), p.Replied(r=reply().r, d=D, status="stale")], {}),
    ("a part is stored", [reply(final=False), p.Replied(r=reply().r, d=D, status="stored")], {D: 1}),
    ("a final reply waits for its commit", [reply()], {D: 1}),
    ("done is committed", [p.Done(d=D, lease=1, status="ok"), p.Finished(d=D, status="stored")], {}),
    ("cancelled", [p.Cancel(d=D, lease=1)], {}),
    ("an older attempt is cancelled", [p.Cancel(d=D, lease=0)], {D: 1}),
    ("the lease is lost", [p.Extended(items=[p.Verdict(D, 1, False)])], {}),
    ("the lease goes on", [p.Extended(items=[p.Verdict(D, 1, True)])], {D: 1}),
    ("an older lease is lost", [p.Extended(items=[p.Verdict(D, 0, False)])], {D: 1}),
]
STUDIO_SAYS = (p.Replied, p.Finished, p.Cancel, p.Extended)


@pytest.mark.parametrize(("talk", "left"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_what_ends_a_message(talk: list[p.Frame], left: dict[str, int]) -> None:
    pair = Pair()
    pair.studio_says(msg())
    for frame in talk:
        pair.studio_says(frame) if isinstance(frame, STUDIO_SAYS) else pair.agent_says(frame)
    assert pair.inflight == left


@pytest.mark.parametrize(("status", "left"), [("stale", {D: 2}), ("stored", {})])
def test_a_stale_answer_to_an_old_attempt_does_not_end_the_new_one(
    status: p.frames.Outcome, left: dict[str, int]
) -> None:
    pair = Pair()
    pair.studio_says(msg(lease=1))
    pair.agent_says(reply(lease=1))
    pair.studio_says(msg(lease=2))
    pair.studio_says(p.Replied(r=reply().r, d=D, status=status))
    assert pair.inflight == left


def test_answers_for_a_message_that_is_not_in_flight_still_reach_the_driver() -> None:
    session = studio()
    for n, frame in enumerate([reply(), p.Done(d=D, lease=1, status="ok"), p.Recv(d=D, lease=1)], start=2):
        assert session.receive(p.encode(numbered(frame, n)), 0.0) == [frame]
    session.send(p.Replied(r=reply().r, d=D, status="stale"))
    assert session.close is None


def test_after_a_reconnect_only_what_studio_keeps_is_in_flight() -> None:
    ours, theirs = p.Session(p.Side.AGENT, now=0.0), p.Session(p.Side.STUDIO, now=0.0)
    ours.send(hello(inflight=[p.Held("a", 3), p.Held("b", 5)]))
    for text in ours.to_send():
        theirs.receive(text, 0.0)
    theirs.send(welcome(keep=["b", "never-offered"], drop=["a"]))
    for text in theirs.to_send():
        ours.receive(text, 0.0)
    assert ours.inflight == theirs.inflight == {"b": 5}


def test_what_was_settled_another_way_is_forgotten() -> None:
    pair = Pair(credits=1)
    pair.studio_says(msg())
    pair.studio.forget(D)
    assert pair.studio.free_credit == 1
