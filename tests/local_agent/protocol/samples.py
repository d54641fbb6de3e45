"""Frames for the protocol's tests: one plain example of each type, and strategies that make any."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from local_agent import protocol as p

D = "0190" + "d" * 28
CONV = "0190" + "c" * 28
R = "0190" + "f" * 28


def hello(**changes: Any) -> p.Hello:
    fields: dict[str, Any] = {
        "agent_id": "agent-1",
        "instance_id": "i-1",
        "session": None,
        "sdk": "python/0.1",
        "caps": ["partial"],
        "credits": 4,
        "inflight": [],
        "unacked": [],
    }
    return p.Hello(**fields | changes)


def welcome(**changes: Any) -> p.Welcome:
    fields: dict[str, Any] = {
        "session": "s-1",
        "conn_id": "c-1",
        "node": "node-1",
        "epoch": 1,
        "hb_s": 10.0,
        "lease_s": 30.0,
        "ack_s": 5.0,
        "max_frame": p.MAX_FRAME,
        "max_credits": 8,
        "caps": ["partial"],
        "resumed": False,
        "keep": [],
        "drop": [],
        "acked": [],
    }
    return p.Welcome(**fields | changes)


def msg(d: str = D, lease: int = 1, **changes: Any) -> p.Msg:
    fields: dict[str, Any] = {
        "conv": CONV,
        "seq": 1,
        "attempt": 1,
        "lease_s": 30.0,
        "kind": "message",
        "payload": {"text": "hello"},
        "ts": 1.5,
    }
    return p.Msg(d=d, lease=lease, **fields | changes)


def reply(d: str = D, lease: int = 1, r: str = R, final: bool = True) -> p.Reply:
    return p.Reply(r=r, d=d, lease=lease, conv=CONV, part=0, final=final, payload={"text": "hi"})


EXAMPLES: dict[type, p.Frame] = {
    type(frame): frame
    for frame in (
        hello(),
        welcome(),
        msg(),
        p.Recv(d=D, lease=1),
        p.Extend(items=[p.Held(D, 1)]),
        p.Extended(items=[p.Verdict(D, 1, True)]),
        p.Partial(d=D, lease=1, at=0, text="h"),
        reply(),
        p.Replied(r=R, d=D, status="stored"),
        p.Done(d=D, lease=1, status="ok"),
        p.Finished(d=D, status="stored"),
        p.Credit(set=2),
        p.Cancel(d=D, lease=1),
        p.Ping(),
        p.Pong(),
        p.Pause(),
        p.Resume(),
        p.Drain(after_s=1.0),
        p.Error(code=4029, msg="slower", retry_in_s=2.0),
    )
}

ids = st.text("0123456789abcdefXYZ_.:-", min_size=1, max_size=64)
few = st.sampled_from([D, CONV, "a", "b"])  # ids that meet again
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
counts = st.integers(0, 2**31 - 1)
tokens = st.integers(0, 2**63 - 1)
seconds = st.floats(0, 10**7)
payloads = st.dictionaries(texts, texts | counts | st.none() | st.lists(texts, max_size=2), max_size=3)
outcomes = st.sampled_from(["stored", "dup", "stale"])
held = st.builds(p.Held, few | ids, tokens)
id_lists = st.lists(few | ids, max_size=3)

frames: st.SearchStrategy[p.Frame] = st.one_of(
    st.builds(
        p.Hello,
        agent_id=ids,
        instance_id=ids,
        session=st.none() | ids,
        sdk=texts,
        caps=id_lists,
        credits=st.integers(0, 5),
        inflight=st.lists(held, max_size=3),
        unacked=id_lists,
    ),
    st.builds(
        p.Welcome,
        session=ids,
        conn_id=ids,
        node=ids,
        epoch=tokens,
        hb_s=st.floats(0.01, 3600),
        lease_s=seconds,
        ack_s=seconds,
        max_frame=st.integers(2**14, 2**31 - 1),
        max_credits=st.integers(0, 5),
        caps=id_lists,
        resumed=st.booleans(),
        keep=id_lists,
        drop=id_lists,
        acked=id_lists,
    ),
    st.builds(
        p.Msg,
        d=few,
        conv=ids,
        seq=tokens,
        attempt=counts,
        lease=st.integers(0, 3),
        lease_s=seconds,
        kind=ids,
        payload=payloads,
        ts=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.builds(p.Recv, d=few, lease=tokens),
    st.builds(p.Extend, items=st.lists(held, max_size=3), progress=st.none() | texts),
    st.builds(p.Extended, items=st.lists(st.builds(p.Verdict, few, st.integers(0, 3), st.booleans()))),
    st.builds(p.Partial, d=few, lease=tokens, at=counts, text=texts),
    st.builds(
        p.Reply,
        r=few,
        d=few,
        lease=st.integers(0, 3),
        conv=ids,
        part=counts,
        final=st.booleans(),
        payload=payloads,
    ),
    st.builds(p.Replied, r=few, d=few, status=outcomes),
    st.builds(
        p.Done,
        d=few,
        lease=st.integers(0, 3),
        status=st.sampled_from(["ok", "error", "retry", "reject"]),
        retry_in_s=st.none() | seconds,
        error=st.none() | texts,
    ),
    st.builds(p.Finished, d=few, status=outcomes),
    st.builds(p.Credit, set=st.integers(0, 5)),
    st.builds(p.Cancel, d=few, lease=st.integers(0, 3), reason=texts),
    st.builds(p.Ping, x=texts),
    st.builds(p.Pong, x=texts),
    st.builds(p.Pause, reason=texts),
    st.builds(p.Resume, reason=texts),
    st.builds(p.Drain, after_s=seconds, avoid_node=st.none() | ids),
    st.builds(
        p.Error,
        code=counts,
        msg=texts,
        ref=st.none() | counts,
        fatal=st.booleans(),
        retry_in_s=st.none() | seconds,
    ),
)


def studio(credits: int = 4, max_credits: int = 8) -> p.Session:
    """A Studio's end, past the greeting."""
    session = p.Session(p.Side.STUDIO, now=0.0)
    session.receive(p.encode(numbered(hello(credits=credits), 1)), 0.0)
    session.send(welcome(max_credits=max_credits))
    session.to_send()
    return session


def agent(credits: int = 4, max_credits: int = 8) -> p.Session:
    """An agent's end, past the greeting."""
    session = p.Session(p.Side.AGENT, now=0.0)
    session.send(hello(credits=credits))
    session.to_send()
    session.receive(p.encode(numbered(welcome(max_credits=max_credits), 1)), 0.0)
    return session


def numbered(frame: p.Frame, n: int) -> p.Frame:
    frame.n = n
    return frame
