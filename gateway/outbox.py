"""From stored part to provider and back to stored: the only place that decides what happens when sending fails.

A sender claims conversations, not parts, so that nothing overtakes within one. For a provider that cannot tell a
repeat, the intent is committed before the call (`sending`): if we die in between, whoever comes next finds that intent
without an outcome and shows it as `unknown`, rather than sending twice or keeping silent.

    ready ──► sending ──► sent │ failed │ unknown          (idempotent channels skip `sending`)
      ▲─── retry later ──┘

A claim is renewed with each intent, and a call ends before its claim does: whoever comes next finds nobody still at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from django.db import IntegrityError
from prometheus_client import Counter

from agent_link.bus import Bus, Hint
from agent_link.crash import crash_point
from agent_link.group_commit import DatabaseAway, GroupCommit
from agent_link.sql import Cursor, Record, Statement
from gateway.backoff import delay
from gateway.directory import Directory, OpenChannel
from gateway.errors import Ambiguous, BadConfig, ConfigRefused, SendError
from gateway.messages import Outbound
from gateway.models import PartState
from gateway.registry import ADAPTERS, adapter
from workspaces.vault import SealBroken

log = logging.getLogger(__name__)

SENT = Counter("studio_parts_total", "What became of calls to providers", ["state"])

ENDED = {PartState.SENT, PartState.FAILED, PartState.UNKNOWN}
MOST_SENDERS = 500
CALLS_PER_CHANNEL = 8
CALL_SHARE = (
    0.75  # of its claim that a call may take, so that it is over before somebody takes the claim over
)
STOP_S = 20.0  # that calls which are out get to come home when we stop

CLAIMED = Statement(
    """WITH free AS (
           SELECT c.lane_id AS id, g.claim_s FROM gateway_conversation c JOIN {rows} g ON true
           WHERE c.send_pending > 0 AND c.send_due_at <= {now} ORDER BY c.send_due_at LIMIT 100 {lock of c}
       )
       UPDATE gateway_conversation AS c SET send_token = c.send_token + 1, send_due_at = {now+free.claim_s}
       FROM free WHERE c.lane_id = free.id
       RETURNING c.lane_id, c.send_token, c.address, c.workspace_id""",
    claim_s="real",
)
PARTS = Statement(
    """SELECT p.conversation_id, p.id, p.channel_id, p.text, p.state, p.attempts, p.message_id,
              p.created_at <= {now+g.born_s}
       FROM {rows} g JOIN gateway_outboxpart p ON p.conversation_id = g.conversation
       WHERE p.state IN ('ready', 'sending') ORDER BY p.conversation_id, p.place""",
    conversation="id",
    born_s="real",
)
# Also locks the conversation: until COMMIT nobody else can claim it.
RENEWED = Statement(
    """UPDATE gateway_conversation AS c SET send_due_at = {now+g.claim_s}
       FROM {rows} g WHERE c.lane_id = g.conversation AND c.send_token = g.token RETURNING c.lane_id, c.send_token""",
    conversation="id",
    token="int",
    claim_s="real",
)
# `sending` under the token of whoever asks is their own intent, from a COMMIT whose answer they did not get.
INTENDED = Statement(
    """UPDATE gateway_outboxpart AS p SET state = 'sending' FROM {rows} g
       WHERE p.id = g.part AND p.state IN ('ready', 'sending') RETURNING p.id""",
    part="id",
)
# Whoever lost the claim may still tell how a call ended, but not put the part back: later ones may be out by now.
SETTLED = Statement(
    """UPDATE gateway_outboxpart AS p
       SET state = g.state, error = g.error, external_id = g.external_id, attempts = p.attempts + 1,
           sent_at = CASE WHEN g.state = 'sent' THEN {now} ELSE p.sent_at END
       FROM {rows} g, gateway_conversation c
       WHERE p.id = g.part AND p.state IN ('ready', 'sending') AND c.lane_id = p.conversation_id
         AND (g.state <> 'ready' OR c.send_token = g.token) RETURNING p.id""",
    part="id",
    token="int",
    state="text",
    error="text",
    external_id="text",
)
# The outcome of a call whose part was taken for lost meanwhile.
CLEARED = Statement(
    """UPDATE gateway_outboxpart AS p SET state = 'sent', error = '', external_id = g.external_id, sent_at = {now}
       FROM {rows} g WHERE p.id = g.part AND p.state = 'unknown'""",
    part="id",
    external_id="text",
)
TROUBLED = Statement(
    """UPDATE gateway_channel AS c SET state = 'error', state_detail = g.detail FROM {rows} g
       WHERE c.id = g.channel AND c.state <> 'disabled'""",
    channel="id",
    detail="text",
)
# What a message's parts say together. MIN over ranks would hide a failure, so each case is asked for.
TOLD = Statement(
    """UPDATE gateway_message AS m SET status = {greatest}(m.status, told.status)
       FROM (
           SELECT p.message_id AS id, CASE
               WHEN SUM(CASE WHEN p.state IN ('ready', 'sending') THEN 1 ELSE 0 END) > 0 THEN 5
               WHEN SUM(CASE WHEN p.state = 'failed' THEN 1 ELSE 0 END) > 0 THEN 30
               WHEN SUM(CASE WHEN p.state = 'unknown' THEN 1 ELSE 0 END) > 0 THEN 10
               ELSE 20 END AS status
           FROM gateway_outboxpart p JOIN {rows} g ON g.message = p.message_id GROUP BY p.message_id
       ) told WHERE m.id = told.id""",
    message="id",
)
MOVED = Statement(
    """UPDATE gateway_conversation AS c SET send_pending = c.send_pending - g.ended,
           send_due_at = CASE WHEN c.send_token = g.token AND g.after_s >= 0 THEN {now+g.after_s}
                              ELSE c.send_due_at END
       FROM {rows} g WHERE c.lane_id = g.conversation RETURNING c.lane_id, c.send_pending""",
    conversation="id",
    token="int",
    ended="int",
    after_s="real",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One call to make. `expired`: it has been tried for longer than it may."""

    id: str
    message: str
    conversation: str
    workspace: str
    token: int
    address: str
    channel: str
    text: str
    state: str
    attempts: int
    expired: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a part. `after_s` ≥ 0: the conversation falls due again then; < 0: its sender goes on."""

    part: Part
    state: PartState
    error: str = ""
    external_id: str | None = None
    after_s: float = -1.0


def claim(cursor: Cursor, claims: Sequence[Record]) -> list[list[Part]]:
    """Operation: takes conversations with something to send for `claim_s` seconds; the first of `claims` gets all.

    `born_s`: a part made longer than that ago (a negative number of seconds) has expired.
    """
    wanted = claims[0]
    taken = {row[0]: row for row in cursor.run(CLAIMED, [wanted])}
    rows = cursor.run(PARTS, [{"conversation": c, "born_s": wanted["born_s"]} for c in taken])
    return [[_part(row, taken[row[0]]) for row in rows], *([] for _ in claims[1:])]


def _part(row: Sequence[Any], conversation: Sequence[Any]) -> Part:
    lane, part, channel, text, state, attempts, message, expired = row
    _, token, address, workspace = conversation
    return Part(part, message, lane, workspace, token, address, channel, text, state, attempts, bool(expired))


@dataclass(frozen=True, slots=True)
class Intent:
    """A call about to be made; the conversation stays claimed for `claim_s` seconds from now."""

    part: Part
    claim_s: float


def renew(cursor: Cursor, intents: Sequence[Intent]) -> list[bool]:
    """Operation: the claim counts from now, 0 seconds to give it back; False where it is lost."""
    rows = [
        {"conversation": i.part.conversation, "token": i.part.token, "claim_s": i.claim_s} for i in intents
    ]
    held = {tuple(row) for row in cursor.run(RENEWED, sorted(rows, key=lambda row: str(row["conversation"])))}
    return [(intent.part.conversation, intent.part.token) in held for intent in intents]


def intend(cursor: Cursor, intents: Sequence[Intent]) -> list[bool]:
    """Operation: writes down that the provider is about to be called; False where the claim is lost."""
    held = renew(cursor, intents)
    ours = [intent.part.id for intent, ok in zip(intents, held, strict=True) if ok]
    written = {row[0] for row in cursor.run(INTENDED, [{"part": part} for part in ours])}
    return [ok and intent.part.id in written for intent, ok in zip(intents, held, strict=True)]


def settle(cursor: Cursor, outcomes: Sequence[Outcome]) -> list[bool]:
    """Operation: writes down what became of parts, of their messages and conversations.

    Gives whether more waits in the conversation.
    """
    told = list(_once(outcomes).values())
    rows = [
        {
            "part": o.part.id,
            "token": o.part.token,
            "state": o.state,
            "error": o.error[:200],
            "external_id": o.external_id,
        }
        for o in told
    ]
    settled = {row[0] for row in cursor.run(SETTLED, rows)}
    cleared = [o for o in told if o.state is PartState.SENT and o.part.id not in settled]
    cursor.run(CLEARED, [{"part": o.part.id, "external_id": o.external_id} for o in cleared])
    moves = _moves(outcomes)
    for outcome in told:
        moves[outcome.part.conversation]["ended"] += outcome.state in ENDED and outcome.part.id in settled
    pending = {row[0]: row[1] for row in cursor.run(MOVED, [moves[one] for one in sorted(moves)])}
    # Last, under the lock of the conversation: of two who settle parts of one message the later one sees both.
    cursor.run(TOLD, [{"message": message} for message in {o.part.message for o in told}])
    return [pending.get(outcome.part.conversation, 0) > 0 for outcome in outcomes]


def _once(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """One outcome for each part. Two may tell of it when a claim was taken over: then who knows that it was sent."""
    told: dict[str, Outcome] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.state is PartState.SENT, o.part.token)):
        told[outcome.part.id] = outcome
    return told


def _moves(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """When each conversation falls due again, as its newest claim says: an older one has no say."""
    moves: dict[str, dict[str, Any]] = {}
    for outcome in sorted(outcomes, key=lambda o: o.part.token):
        conversation, token = outcome.part.conversation, outcome.part.token
        move = moves.get(conversation)
        if move is None or move["token"] != token:
            move = {"conversation": conversation, "token": token, "ended": 0, "after_s": -1.0}
            moves[conversation] = move
        move["after_s"] = max(move["after_s"], outcome.after_s)
    return moves


def trouble(cursor: Cursor, channels: Sequence[tuple[str, str]]) -> list[None]:
    """Operation: (channel, what its owner should know)."""
    cursor.run(
        TROUBLED, [{"channel": channel, "detail": detail[:200]} for channel, detail in dict(channels).items()]
    )
    return [None] * len(channels)


def decide(part: Part, error: SendError) -> Outcome:
    """Pure: what follows from an error. Retry, later; give up; or admit that we do not know."""
    said = f"{error.code}: {error.detail}".removesuffix(": ")
    if isinstance(error, Ambiguous):
        return Outcome(part, PartState.UNKNOWN, said)
    if not error.retryable or part.expired:
        return Outcome(part, PartState.FAILED, said)
    wait = error.retry_after if error.retry_after is not None else delay(part.attempts + 1)
    return Outcome(part, PartState.READY, said, after_s=wait)


class Outbox:
    """The sender of this process. Wakes at a hint, and looks by itself every `SWEEP_SECONDS`."""

    def __init__(self, commit: GroupCommit, directory: Directory, bus: Bus, settings: Any) -> None:
        self._commit, self._directory, self._bus, self._settings = commit, directory, bus, settings
        self._something = asyncio.Event()
        self._stopping = False
        self._senders: set[asyncio.Task[None]] = set()
        self._gates: dict[str, asyncio.Semaphore] = {}  # by channel
        self._loop: asyncio.Task[None] | None = None
        bus.add("outbox", self._hinted)

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Takes no more, lets the calls that are out come home, gives the rest back to whoever comes next."""
        self._stopping = True
        self._something.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*filter(None, [self._loop]), return_exceptions=True)
                await asyncio.gather(*self._senders, return_exceptions=True)
        for kind in ADAPTERS:
            await adapter(kind).close()

    def _hinted(self, topic: str, hint: Hint) -> None:
        self._something.set()

    async def _run(self) -> None:
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._something.wait(), self._settings.SWEEP_SECONDS)
            self._something.clear()
            try:
                await self._claim()
            except DatabaseAway:
                await asyncio.sleep(self._settings.SWEEP_SECONDS)
            except Exception:  # whatever it is, what comes later must go out all the same
                log.exception("nothing could be claimed")
                await asyncio.sleep(self._settings.SWEEP_SECONDS)

    async def _claim(self) -> None:
        if len(self._senders) >= MOST_SENDERS:
            await asyncio.wait(self._senders, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping:
            return
        wanted = {"claim_s": self._settings.SEND_CLAIM, "born_s": -self._settings.SEND_LIFETIME}
        parts: list[Part] = await self._commit.submit(claim, wanted)
        if not parts:
            return
        crash_point("C10")
        for _, ours in groupby(parts, key=lambda part: part.conversation):
            task = asyncio.create_task(self._send_all(list(ours)))
            self._senders.add(task)
            task.add_done_callback(self._senders.discard)
        self._something.set()  # there may be more than one claim takes

    async def _send_all(self, parts: list[Part]) -> None:
        """One conversation's parts, in order. Stops at a retry, and before the claim could run out."""
        until = time.monotonic() + self._settings.SEND_CLAIM / 2
        try:
            channel = await self._directory.get(parts[0].channel)
        except DatabaseAway:
            return  # the claim runs out and someone takes it up again
        except (BadConfig, SealBroken) as error:
            await self._wait_for_owner(parts[0], error)
            return
        for part in parts:
            async with self._gate(channel):
                outcome = None if self._stopping else await self._send(part, channel)
                if outcome is None:
                    break
                stops = outcome.state is PartState.READY or part is parts[-1] or time.monotonic() > until
                if stops:
                    outcome = replace(outcome, after_s=max(outcome.after_s, 0.0))
                more = await self._settle(outcome)
            if stops:
                if more and not outcome.after_s:
                    self._something.set()
                return
        await self._let_go(part)

    async def _wait_for_owner(self, part: Part, error: Exception) -> None:
        """The channel cannot be opened, as after a change of VAULT_KEY: that is no fault of what waits in it."""
        outcome = await self._refused(part, ConfigRefused(str(error)))
        await self._settle(replace(outcome, after_s=max(outcome.after_s, 0.0)))

    def _gate(self, channel: OpenChannel | None) -> contextlib.AbstractAsyncContextManager[None]:
        """Few calls at a time for one channel. What dies with us during its call is `unknown`, so few can be."""
        if channel is None or channel.adapter.limits.idempotent:
            return contextlib.nullcontext()
        return self._gates.setdefault(channel.id, asyncio.Semaphore(CALLS_PER_CHANNEL))

    async def _send(self, part: Part, channel: OpenChannel | None) -> Outcome | None:
        """None where nothing was called, and someone else may do it."""
        if channel is None:
            return Outcome(part, PartState.FAILED, "AMX-2404: the channel is disabled or gone")
        until = time.monotonic() + self._settings.SEND_CLAIM * CALL_SHARE
        if not channel.adapter.limits.idempotent:
            if part.state == PartState.SENDING:
                return Outcome(part, PartState.UNKNOWN, "AMX-2504: Studio stopped during the call")
            if not await self._intend(part, until):
                return None
        return await self._call(part, channel, until)

    async def _intend(self, part: Part, until: float) -> bool:
        """Asks again while the database is away: the intent may be stored although nobody could tell us."""
        while True:
            try:
                ours: bool = await self._commit.submit(intend, Intent(part, self._settings.SEND_CLAIM))
                return ours
            except DatabaseAway:
                if time.monotonic() > until:
                    return False
                await asyncio.sleep(self._settings.SWEEP_SECONDS)

    async def _call(self, part: Part, channel: OpenChannel, until: float) -> Outcome:
        """`until`, on the steady clock: when there must be an outcome, because the claim may end soon after."""
        if time.monotonic() > until:  # went by on the way here; nothing was called
            return Outcome(part, PartState.READY, after_s=0.0)
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                external_id = await channel.adapter.send(
                    channel.config, Outbound(part.address, part.text, part.id)
                )
        except TimeoutError:
            return await self._refused(part, Ambiguous("no answer in time"))
        except SendError as error:
            return await self._refused(part, error)
        except Exception:  # a mistake in the adapter; whether the call went out is not known
            log.exception("the %s adapter failed", channel.kind, extra={"message_id": part.message})
            return Outcome(part, PartState.UNKNOWN, "AMX-2599: our own mistake; see the log")
        crash_point("C11")
        return Outcome(part, PartState.SENT, external_id=external_id)

    async def _refused(self, part: Part, error: SendError) -> Outcome:
        log.warning("not sent: %s", error, extra={"message_id": part.message, "code": error.code})
        if isinstance(error, ConfigRefused):
            # For the channel's owner to see. It is told again at the next try, so it may be missed now.
            with contextlib.suppress(DatabaseAway):
                await self._commit.submit(trouble, (part.channel, f"{error.code}: {error.detail}"))
        return decide(part, error)

    async def _let_go(self, part: Part) -> None:
        """Nobody needs to wait for the claim to run out. Where this cannot be said, it does."""
        with contextlib.suppress(DatabaseAway):
            await self._commit.submit(renew, Intent(part, 0.0))

    async def _settle(self, outcome: Outcome) -> bool:
        """Keeps trying while the database is away: this is the only place that knows how the call ended."""
        part = outcome.part
        while True:
            try:
                more: bool = await self._commit.submit(settle, outcome)
                break
            except DatabaseAway:
                await asyncio.sleep(self._settings.SWEEP_SECONDS)
            except IntegrityError:
                if outcome.external_id is None:
                    raise
                log.warning("the provider gave this id before", extra={"message_id": part.message})
                outcome = replace(outcome, external_id=None)
        crash_point("C12")
        SENT.labels(outcome.state).inc()
        self._bus.publish(f"conversation:{part.conversation}", {"t": "message"})
        self._bus.publish(f"workspace:{part.workspace}", {"t": "message", "conversation": part.conversation})
        return more
