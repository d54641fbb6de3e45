"""Laws of the Session that hold for any talk, in any order."""

from __future__ import annotations

import sys
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from local_agent import protocol as p

from .samples import agent, frames, hello, numbered, studio, welcome

sides = st.sampled_from(p.Side)
starts = st.sampled_from(["fresh", "open"])


def start(side: p.Side, how: str) -> p.Session:
    if how == "fresh":
        return p.Session(side, now=0.0)
    return agent() if side is p.Side.AGENT else studio()


@given(sides, starts, st.lists(frames, max_size=20), st.data())
def test_any_frames_in_any_order_leave_it_legal_or_closed_with_a_code(
    side: p.Side, how: str, talk: list[p.Frame], data: st.DataObject
) -> None:
    session = start(side, how)
    for frame in talk:
        n = session._heard_n + data.draw(st.sampled_from([1, 1, 1, 1, 2, 0]))
        heard = session.receive(p.encode(numbered(frame, n)), 0.0)
        assert heard in ([], [frame])
        if session.close:
            break
    assert (session.close is not None) == (session.state is p.State.CLOSED)
    if session.close:
        assert session.close.code in set(p.CloseCode)
    for text in session.to_send():
        p.decode(text)


@given(sides, st.lists(st.text() | st.binary(), max_size=5))
def test_noise_never_raises(side: p.Side, noise: list[str | bytes]) -> None:
    session = start(side, "open")
    for text in noise:
        session.receive(text, 0.0)
    assert session.close is not None or not noise


@given(sides, starts, st.lists(frames | st.just("tick"), max_size=30))
def test_n_is_gapless_whatever_we_try_to_say(side: p.Side, how: str, talk: list[p.Frame | str]) -> None:
    session = start(side, how)
    first, now = session._sent_n + 1, 0.0
    for frame in talk:
        now += 4.0
        with suppress(p.IllegalFrame):
            session.tick(now) if isinstance(frame, str) else session.send(frame)
    said = [p.decode(text).n for text in session.to_send()]
    assert said == list(range(first, first + len(said)))


@given(st.lists(frames, max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_a_message_is_only_sent_on_free_credit(talk: list[p.Frame], asked: int, limit: int) -> None:
    session = studio(asked, limit)
    for frame in talk:
        new = isinstance(frame, p.Msg) and frame.d not in session.inflight
        free, held = session.free_credit, len(session.inflight)
        try:
            session.send(frame)
        except p.IllegalFrame:
            session.receive(p.encode(numbered(frame, session._heard_n + 1)), 0.0)
            continue
        if new:
            assert free > 0
            assert len(session.inflight) == held + 1 <= min(session.credit, limit)
        if session.close:
            break


@given(st.lists(frames, max_size=40))
def test_both_ends_hold_the_same_account(talk: list[p.Frame]) -> None:
    ours, theirs = agent(), studio()
    for frame in talk:
        for speaker, listener in ((ours, theirs), (theirs, ours)):
            try:
                speaker.send(frame)
            except p.IllegalFrame:
                continue
            for text in speaker.to_send():
                listener.receive(text, 0.0)
            break
        assert listener.close is None
        assert ours.inflight == theirs.inflight
        assert ours.credit == theirs.credit
        assert ours.state is theirs.state


def test_an_idle_session_is_small() -> None:
    session = p.Session(p.Side.STUDIO, now=0.0)
    session.receive(p.encode(numbered(hello(), 1)), 0.0)
    session.send(welcome())
    session.to_send()
    parts = [session, session._load, session.inflight, session._out, session._heard_at, session._spoke_at]
    assert sum(sys.getsizeof(part) for part in parts) <= 1536
