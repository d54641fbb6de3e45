"""A Session lets through what the table allows, closes with a code on all else, and keeps the heartbeat."""

from __future__ import annotations

import copy

import pytest

from local_agent import protocol as p

from .samples import EXAMPLES, agent, hello, msg, numbered, studio, welcome

AGENTS_WORDS = {p.Recv, p.Extend, p.Partial, p.Reply, p.Done, p.Credit, p.Pause, p.Resume}
STUDIOS_WORDS = {p.Extended, p.Replied, p.Finished, p.Cancel, p.Drain}
BOTHS = {p.Ping, p.Pong, p.Error}
S = p.State


def at(side: p.Side, state: p.State) -> p.Session:
    """A session that got to `state` by frames alone."""
    session = p.Session(side, now=0.0)
    greeting = [(p.Side.AGENT, hello()), (p.Side.STUDIO, welcome())]
    steps: dict[p.State, list[tuple[p.Side, p.Frame]]] = {
        S.DIALED: [],
        S.AUTHED: [],
        S.HELLO_SENT: greeting[:1],
        S.GREETED: greeting[:1],
        S.READY: greeting,
        S.PAUSED: [*greeting, (p.Side.AGENT, p.Pause())],
        S.DRAINING: [*greeting, (p.Side.STUDIO, p.Drain(after_s=1.0))],
        S.CLOSED: greeting,
    }
    for speaker, frame in steps[state]:
        say(session, frame) if speaker is side else hear(session, frame)
    if state is S.CLOSED:
        session.shut(1000, "bye")
    session.to_send()
    assert session.state is state
    return session


def say(session: p.Session, frame: p.Frame) -> None:
    session.send(copy.deepcopy(frame))


def hear(session: p.Session, frame: p.Frame) -> list[p.Frame]:
    numbered(frame, session._heard_n + 1)
    return session.receive(p.encode(frame), 0.0)


# What each end may hear and say, written again by hand from the protocol's description.
MAY_HEAR = {
    (p.Side.AGENT, S.DIALED): {p.Error},
    (p.Side.AGENT, S.HELLO_SENT): {p.Welcome, p.Error},
    (p.Side.AGENT, S.READY): {p.Msg} | STUDIOS_WORDS | BOTHS,
    (p.Side.AGENT, S.PAUSED): {p.Msg} | STUDIOS_WORDS | BOTHS,
    (p.Side.AGENT, S.DRAINING): STUDIOS_WORDS | BOTHS,
    (p.Side.STUDIO, S.AUTHED): {p.Hello, p.Error},
    (p.Side.STUDIO, S.GREETED): {p.Error},
    (p.Side.STUDIO, S.READY): AGENTS_WORDS | BOTHS,
    (p.Side.STUDIO, S.PAUSED): AGENTS_WORDS | BOTHS,
    (p.Side.STUDIO, S.DRAINING): AGENTS_WORDS | BOTHS,
}
MAY_SAY = {
    (p.Side.AGENT, S.DIALED): {p.Hello, p.Error},
    (p.Side.AGENT, S.HELLO_SENT): {p.Error},
    (p.Side.AGENT, S.READY): AGENTS_WORDS | BOTHS,
    (p.Side.AGENT, S.PAUSED): AGENTS_WORDS | BOTHS,
    (p.Side.AGENT, S.DRAINING): AGENTS_WORDS | BOTHS,
    (p.Side.AGENT, S.CLOSED): set(),
    (p.Side.STUDIO, S.AUTHED): {p.Error},
    (p.Side.STUDIO, S.GREETED): {p.Welcome, p.Error},
    (p.Side.STUDIO, S.READY): {p.Msg} | STUDIOS_WORDS | BOTHS,
    (p.Side.STUDIO, S.PAUSED): STUDIOS_WORDS | BOTHS,
    (p.Side.STUDIO, S.DRAINING): STUDIOS_WORDS | BOTHS,
    (p.Side.STUDIO, S.CLOSED): set(),
}


@pytest.mark.parametrize(("side", "state"), MAY_HEAR)
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_hears_what_is_allowed_and_closes_4400_on_the_rest(side: p.Side, state: p.State, kind: type) -> None:
    session = at(side, state)
    heard = hear(session, copy.deepcopy(EXAMPLES[kind]))
    if kind not in MAY_HEAR[side, state]:
        assert (heard, session.state) == ([], S.CLOSED)
        assert session.close
        assert session.close.code == 4400
        assert isinstance(p.decode(session.to_send()[-1]), p.Error)
    else:
        assert session.close is None
        assert [type(frame) for frame in heard] == ([] if kind in (p.Ping, p.Pong) else [kind])


@pytest.mark.parametrize(("side", "state"), MAY_SAY)
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_says_what_is_allowed_and_raises_on_the_rest(side: p.Side, state: p.State, kind: type) -> None:
    session = at(side, state)
    assert session.may_send(kind) is (kind in MAY_SAY[side, state])
    if session.may_send(kind):
        say(session, EXAMPLES[kind])
        assert session.has_output
        assert type(p.decode(session.to_send()[0])) is kind
    else:
        with pytest.raises(p.IllegalFrame):
            say(session, EXAMPLES[kind])
        assert not session.has_output


MOVES = [
    (S.READY, p.Pause(), S.PAUSED),
    (S.PAUSED, p.Pause(), S.PAUSED),
    (S.PAUSED, p.Resume(), S.READY),
    (S.DRAINING, p.Pause(), S.DRAINING),
    (S.DRAINING, p.Resume(), S.DRAINING),
]


@pytest.mark.parametrize(("before", "frame", "after"), MOVES)
def test_both_ends_move_alike(before: p.State, frame: p.Frame, after: p.State) -> None:
    ours, theirs = at(p.Side.AGENT, before), at(p.Side.STUDIO, before)
    say(ours, frame)
    hear(theirs, copy.deepcopy(frame))
    assert ours.state is theirs.state is after


@pytest.mark.parametrize("n", [1, 3, 0])
def test_a_gap_a_repeat_or_no_number_closes_4400(n: int) -> None:
    session = studio()
    assert session.receive(p.encode(numbered(p.Credit(set=1), n)), 0.0) == []
    assert session.close == (4400, f"expected frame 2, got {n}")


def test_a_frame_of_an_unknown_type_counts() -> None:
    session = studio()
    assert session.receive('{"t":"weather","n":2}', 0.0) == []
    assert session.receive(p.encode(numbered(p.Credit(set=1), 3)), 0.0)
    assert session.close is None


BAD = [('{"t":"!weather","n":2}', 4406), ("{", 4400), ("x" * (p.MAX_FRAME + 1), 1009)]


@pytest.mark.parametrize(("text", "code"), BAD, ids=["must understand", "malformed", "too large"])
def test_a_bad_frame_closes_and_tells_why(text: str, code: int) -> None:
    session = studio()
    assert session.receive(text, 0.0) == []
    error = p.decode(session.to_send()[-1])
    assert isinstance(error, p.Error)
    assert session.close == (code, error.msg)
    assert (error.code, error.fatal) == (code, True)


def test_after_the_close_nothing_is_heard() -> None:
    session = studio()
    session.shut(p.CloseCode.REPLACED, "a newer connection")
    session.shut(p.CloseCode.NORMAL, "too late, the first reason stays")
    assert hear(session, p.Credit(set=1)) == []
    assert session.close == (4002, "a newer connection")


def test_the_close_reason_fits_a_close_frame() -> None:
    session = studio()
    session.shut(4400, "ü" * 500)
    assert session.close
    assert len(session.close.reason.encode()) <= 123


def test_a_ping_is_answered_with_its_own_x() -> None:
    session = studio()
    assert hear(session, p.Ping(x="42")) == []
    assert p.decode(session.to_send()[0]) == p.Pong(n=2, x="42")


def test_silence_is_broken_by_a_ping_and_any_frame_counts_as_sound() -> None:
    session = agent()
    session.tick(0.0)
    session.tick(9.9)
    assert session.to_send() == []
    session.tick(10.0)
    assert [type(p.decode(text)) for text in session.to_send()] == [p.Ping]
    session.tick(11.0)
    session.receive(p.encode(p.Pong(n=2)), 15.0)
    session.send(p.Credit(set=3))
    session.tick(21.1)
    assert [type(p.decode(text)) for text in session.to_send()] == [p.Credit]


def test_two_missed_heartbeats_close_4408() -> None:
    session = agent()
    session.tick(20.0)
    assert session.close is None
    session.tick(20.1)
    assert session.close
    assert session.close.code == 4408
    assert session.state is S.CLOSED


@pytest.mark.parametrize(("side", "seconds"), [(p.Side.STUDIO, 5.0), (p.Side.AGENT, 15.0)])
def test_a_peer_that_does_not_greet_is_closed(side: p.Side, seconds: float) -> None:
    session = p.Session(side, now=100.0)
    if side is p.Side.AGENT:
        session.send(hello())
    session.tick(100.0 + seconds)
    assert session.close is None
    session.tick(100.1 + seconds)
    assert session.close
    assert session.close.code == 4408


def test_an_agent_that_waits_for_a_slow_welcome_is_not_called_silent() -> None:
    session = at(p.Side.STUDIO, S.GREETED)
    session.tick(60.0)
    session.send(welcome())
    session.tick(61.0)
    assert session.close is None


def test_a_frame_too_large_for_the_peer_is_not_sent_and_takes_no_number() -> None:
    session = p.Session(p.Side.AGENT, now=0.0)
    session.send(hello())
    hear(session, welcome(max_frame=2**14))
    with pytest.raises(p.IllegalFrame, match="larger than 16384"):
        session.send(p.Partial(d="a", lease=1, at=0, text="x" * 2**14))
    session.send(p.Credit(set=1))
    assert [p.decode(text).n for text in session.to_send()] == [1, 2]


def test_sessions_agree_when_they_talk_to_each_other() -> None:
    ours, theirs = p.Session(p.Side.AGENT, now=0.0), p.Session(p.Side.STUDIO, now=0.0)
    ours.send(hello())
    assert [type(f) for text in ours.to_send() for f in theirs.receive(text, 0.0)] == [p.Hello]
    theirs.send(welcome())
    theirs.send(msg())
    assert [type(f) for text in theirs.to_send() for f in ours.receive(text, 0.0)] == [p.Welcome, p.Msg]
    assert ours.inflight == theirs.inflight == {msg().d: 1}
    assert ours.state is theirs.state is S.READY
