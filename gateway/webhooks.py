"""The front door for providers: POST /webhooks/<kind>/<channel id>, ahead of Django, as a plain ASGI application.

In this order: is the caller's address being refused too often (429); is there such a channel and do the headers prove
what they can (403, the same for both); is the body small (413) and in time (408); is it really the provider (403); is
it in the provider's format (400). Then it is stored, and only after COMMIT answered 200. Answers hold nothing of what
was sent.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from agent_link.bus import Bus
from agent_link.crash import crash_point
from agent_link.group_commit import DatabaseAway, GroupCommit
from agent_link.http import Problem, answer, headers_of, read_body
from agent_link.refusals import Refusals
from gateway.directory import Directory, OpenChannel
from gateway.errors import BadConfig, BadPayload, BadSignature
from gateway.messages import Parsed, Webhook
from gateway.store import Arrival, Recorded, announce, record
from local_agent.protocol.ids import new_id
from workspaces.vault import SealBroken

log = logging.getLogger(__name__)

ANSWERED = Counter("studio_webhooks_total", "Webhooks answered", ["kind", "status"])

Scope = dict[str, Any]


def forbidden() -> Problem:
    """One answer for a wrong secret, a wrong signature and a channel that is not there."""
    return Problem(403, "AMX-2403", "not accepted", counts=True)


class Webhooks:
    """The ASGI application. Bodies of at most `max_body` bytes, arriving within `read_timeout` seconds."""

    def __init__(
        self,
        commit: GroupCommit,
        directory: Directory,
        bus: Bus,
        refusals: Refusals,
        *,
        max_body: int,
        read_timeout: float,
    ) -> None:
        self._commit, self._directory, self._bus, self._refusals = commit, directory, bus, refusals
        self._max_body, self._read_timeout = max_body, read_timeout

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        kind = "unknown"
        try:
            headers = headers_of(scope)
            channel = await self._admitted(scope, headers, address)
            kind = channel.kind
            body = await read_body(scope, receive, self._max_body, self._read_timeout)
            webhook = Webhook(scope["method"], headers, body)
            await self._take(channel, webhook)
            ANSWERED.labels(kind, 200).inc()
            await answer(send, 200, {"ok": True})
            crash_point("C4")
        except Problem as problem:
            if problem.counts:
                self._refusals.count(address)
            ANSWERED.labels(kind, problem.status).inc()
            await problem.send(send)

    async def _admitted(self, scope: Scope, headers: Mapping[str, str], address: str) -> OpenChannel:
        if (wait := self._refusals.wait(address)) > 0:
            raise Problem(429, "AMX-2429", "too many refused calls from this address", retry_after=wait)
        if scope["method"] != "POST":
            raise Problem(405, "AMX-2405", "webhooks are sent by POST")
        kind, _, channel_id = scope["path"].removeprefix("/webhooks/").partition("/")
        channel = await self._channel(channel_id)
        if channel is None or channel.kind != kind:
            raise forbidden()
        try:
            channel.adapter.admit(channel.config, headers)
        except BadSignature:
            raise forbidden() from None
        return channel

    async def _channel(self, channel_id: str) -> OpenChannel | None:
        try:
            return await self._directory.get(channel_id)
        except DatabaseAway:
            raise unavailable() from None
        except (
            BadConfig,
            SealBroken,
        ) as error:  # as after a change of VAULT_KEY; nobody can be let in until it is mended
            log.error("channel %s cannot be opened: %s", channel_id, error)
            raise unavailable() from None

    async def _take(self, channel: OpenChannel, webhook: Webhook) -> None:
        try:
            channel.adapter.verify(channel.config, webhook)
            arrival = arrived(channel, webhook.body, parse(channel, webhook))
        except BadSignature:
            raise forbidden() from None
        except (BadPayload, UnicodeDecodeError):
            raise Problem(
                400, BadPayload.code, "the body is not what this channel's provider sends"
            ) from None
        try:
            recorded: Recorded = await self._commit.submit(record, arrival)
        except DatabaseAway:
            raise unavailable() from None
        if recorded.lane is not None:
            announce(self._bus, arrival.workspace, recorded.lane)


def parse(channel: OpenChannel, webhook: Webhook) -> Parsed:
    """A mistake of our own is no reason to lose what somebody wrote: it is kept, and read again when that is mended."""
    try:
        return channel.adapter.parse(channel.config, webhook)
    except (BadPayload, BadSignature):
        raise
    except Exception as error:
        log.exception("the %s adapter failed", channel.kind)
        return Parsed("", trouble=f"AMX-2599: our own mistake, {type(error).__name__}; see the log")


def arrived(channel: OpenChannel, body: bytes, parsed: Parsed) -> Arrival:
    """A verified webhook as an arrival. One without an id of its own is known by its content."""
    return Arrival(
        id=new_id(),
        workspace=channel.workspace,
        channel=channel.id,
        kind=channel.kind,
        channel_name=channel.name,
        external_id=parsed.external_id[:128] or "sha256:" + hashlib.sha256(body).hexdigest(),
        payload=body.decode().replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        received_at=time.time(),
        inbound=parsed.inbound,
        trouble=parsed.trouble,
    )


def unavailable() -> Problem:
    return Problem(503, DatabaseAway.code, "try again shortly; nothing was stored", retry_after=2)
