"""The frames of `aimatrix.tunnel.v1`: one JSON object per WebSocket text message.

`t` names the type, `n` counts the frames of one connection in one direction from 1. Fields we do not know are
ignored, so that both ends can grow; a wrong type closes the connection. Lengths, characters and ranges are
checked here, once, so that what passes can be stored. A→S is agent to Studio, S→A the way back.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

SUBPROTOCOL: Final = "aimatrix.tunnel.v1"
MAX_FRAME: Final = 2**20  # bytes of UTF-8

Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_.:-]{1,64}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # fits PostgreSQL's bigint
Seconds = Annotated[float, msgspec.Meta(ge=0, le=10**7)]
Payload = dict[str, Any]
Outcome = Literal["stored", "dup", "stale"]


class Held(msgspec.Struct, gc=False):
    """A message that the agent holds, under the lease it was given."""

    d: Id
    lease: Token


class Verdict(msgspec.Struct, gc=False):
    """`ok` false: the lease is lost, the agent stops working on `d`."""

    d: Id
    lease: Token
    ok: bool


# gc=False: frames never form cycles, so the collector need not look at them.
class FrameBase(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True, tag_field="t", tag=str.lower):
    """What every frame has. `n` is given by the Session when it sends."""

    n: Token = 0


class Hello(FrameBase):
    """A→S, the first frame. `session` is null on a fresh start; `unacked`: replies still in the outbox."""

    agent_id: Id
    instance_id: Id
    session: Id | None
    sdk: Text
    caps: list[Id]
    credits: Count
    inflight: list[Held]
    unacked: list[Id]


class Welcome(FrameBase):
    """S→A. Of the agent's `inflight`, `keep` goes on, `drop` is lost; replies in `acked` are stored."""

    session: Id
    conn_id: Id
    node: Id
    epoch: Token
    hb_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)]
    lease_s: Seconds
    ack_s: Seconds
    max_frame: Annotated[int, msgspec.Meta(ge=2**14, le=2**31 - 1)]
    max_credits: Count
    caps: list[Id]
    resumed: bool
    keep: list[Id]
    drop: list[Id]
    acked: list[Id]


class Msg(FrameBase):
    """S→A. One message to answer; takes one credit. `seq` is gapless in `conv`, `lease` only grows."""

    d: Id
    conv: Id
    seq: Token
    attempt: Count
    lease: Token
    lease_s: Seconds
    kind: Id
    payload: Payload
    ts: float


class Recv(FrameBase):
    """A→S. The agent has the message in its journal."""

    d: Id
    lease: Token


class Extend(FrameBase):
    """A→S. More time, please."""

    items: list[Held]
    progress: Text | None = None


class Extended(FrameBase):
    """S→A. The answer to `extend`, item by item."""

    items: list[Verdict]


class Partial(FrameBase):
    """A→S. Text while it is written; neither stored nor acknowledged. `at` 0 starts the answer again."""

    d: Id
    lease: Token
    at: Count  # where `text` begins, in characters of the whole answer
    text: str


class Reply(FrameBase):
    """A→S. One part of the answer. The agent makes its id `r` once and repeats it until `replied`."""

    r: Id
    d: Id
    lease: Token
    conv: Id
    part: Count
    final: bool
    payload: Payload


class Replied(FrameBase):
    """S→A. Sent only after COMMIT; the agent may forget the reply."""

    r: Id
    d: Id
    status: Outcome


class Done(FrameBase):
    """A→S. No (further) answer: `retry` asks for another attempt later, `reject` for none."""

    d: Id
    lease: Token
    status: Literal["ok", "error", "retry", "reject"]
    retry_in_s: Seconds | None = None
    error: Text | None = None


class Finished(FrameBase):
    """S→A. `done` is committed."""

    d: Id
    status: Outcome


class Credit(FrameBase):
    """A→S. How many unfinished messages the agent will hold: a level, not a difference."""

    set: Count


class Cancel(FrameBase):
    """S→A. Stop working on `d`."""

    d: Id
    lease: Token
    reason: Text = ""


class Ping(FrameBase):
    """Both ways, after `hb_s` of silence."""

    x: Text = ""


class Pong(FrameBase):
    """Both ways. Echoes `x`."""

    x: Text = ""


class Pause(FrameBase):
    """A→S. No new messages; all else goes on."""

    reason: Text = ""


class Resume(FrameBase):
    """A→S. New messages again."""

    reason: Text = ""


class Drain(FrameBase):
    """S→A. Open a second connection within `after_s`; this one will close."""

    after_s: Seconds
    avoid_node: Id | None = None


class Error(FrameBase):
    """Both ways. `ref` is the `n` of the frame it speaks of; after a fatal one comes a close."""

    code: Count
    msg: str
    ref: Count | None = None
    fatal: bool = False
    retry_in_s: Seconds | None = None


class Ignored(msgspec.Struct, gc=False):
    """A frame of a type we do not know. It counts in `n` and is otherwise passed over."""

    t: str
    n: int = 0


Known = (
    Hello | Welcome | Msg | Recv | Extend | Extended | Partial | Reply | Replied | Done | Finished | Credit
    | Cancel | Ping | Pong | Pause | Resume | Drain | Error
)  # fmt: skip
Frame = Known | Ignored

FRAME_TYPES: Final[dict[str, type[Known]]] = {kind.__name__.lower(): kind for kind in Known.__args__}
