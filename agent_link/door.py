"""The agents' door, ahead of Django, as a plain ASGI application:

    WebSocket /tunnel          the tunnel, subprotocol aimatrix.tunnel.v1
    POST /tunnel/replies       the second way home for answers, when the socket is away
    POST /tunnel/pair          a one-time code → an agent's token

An upgrade needs a good token before it is accepted, and the first frame within five seconds after.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from agent_link import answers, pairing, roster
from agent_link.answers import Answer
from agent_link.connection import Connection
from agent_link.dispatch import Dispatcher
from agent_link.group_commit import DatabaseAway
from agent_link.http import Problem, answer, headers_of, read_body
from agent_link.refusals import Refusals
from agent_link.roster import KnownAgent
from agent_link.sql import is_id
from local_agent.protocol.frames import SUBPROTOCOL, Id, Payload, Token
from workspaces.keys import digest, well_formed

log = logging.getLogger(__name__)

Scope = dict[str, Any]

BODY, READ_TIMEOUT = 4 * 2**20, 30.0
PAIRING_BODY, PAIRING_TIMEOUT = 4 * 2**10, 10.0  # from anybody: it holds a code and a name


class SentReply(msgspec.Struct):
    """As the frame `reply`, without `t` and `n`."""

    r: Id
    d: Id
    lease: Token
    conv: Id
    part: Annotated[int, msgspec.Meta(ge=0, lt=answers.MOST_PARTS)]
    final: bool
    payload: Payload


class SentReplies(msgspec.Struct):
    replies: list[SentReply]


class TunnelDoor:
    def __init__(self, dispatcher: Dispatcher, refusals: Refusals) -> None:
        self._dispatcher, self._refusals = dispatcher, refusals

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._tunnel(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        try:
            await self._http(scope, receive, send, address)
        except Problem as problem:
            if problem.counts:
                self._refusals.count(address)
            await problem.send(send)

    # -- the tunnel -----------------------------------------------------------------------------------------------

    async def _tunnel(self, scope: Scope, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        address = scope["client"][0] if scope.get("client") else ""
        try:
            agent = await self._agent(headers_of(scope), address)
            if SUBPROTOCOL not in scope.get("subprotocols", []):
                raise Problem(426, "AMX-3426", "no common tunnel version", extra={"supported": ["v1"]})
        except Problem as problem:
            if problem.counts:
                self._refusals.count(address)
            await problem.deny(scope, send)
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        connection = Connection(agent, self._dispatcher, send)
        try:
            await self._listen(connection, receive)
        finally:
            self._dispatcher.depart(connection)

    async def _listen(self, connection: Connection, receive: Any) -> None:
        hello_by = asyncio.get_running_loop().call_later(6, connection.tick)
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                await connection.frame(message.get("text") or message.get("bytes") or "")
                if connection.session.close is not None:
                    return
        finally:
            hello_by.cancel()

    async def _agent(self, headers: Mapping[str, str], address: str) -> KnownAgent:
        """The agent whose bearer token was presented. Raises Problem."""
        if (wait := self._refusals.wait(address)) > 0:
            raise Problem(429, "AMX-3429", "too many refused calls from this address", retry_after=wait)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not well_formed(token, "agent"):
            raise Problem(
                401,
                "AMX-3401",
                "an agent token is needed",
                next_step="pair this computer: aimatrix pair CODE",
                counts=True,
            )
        try:
            agent: KnownAgent | None = await self._dispatcher.commit.submit(roster.by_token, digest(token))
        except DatabaseAway:
            raise unavailable() from None
        if agent is None or agent.revoked:
            raise Problem(
                403,
                "AMX-3403",
                "this agent token is not accepted any more",
                next_step="pair this computer again",
                counts=True,
            )
        return agent

    # -- over HTTP ------------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Any, send: Any, address: str) -> None:
        doors = {"/tunnel/replies": self._replies, "/tunnel/pair": self._pair}
        door = doors.get(scope["path"])
        if door is None:
            raise Problem(404, "AMX-3404", "there is nothing here")
        if scope["method"] != "POST":
            raise Problem(405, "AMX-3405", "this is sent by POST")
        await door(scope, receive, send, address)

    async def _replies(self, scope: Scope, receive: Any, send: Any, address: str) -> None:
        agent = await self._agent(headers_of(scope), address)
        sent = decoded(await read_body(scope, receive, BODY, READ_TIMEOUT), SentReplies)
        verdicts = await asyncio.gather(*[self._accept(agent, reply) for reply in sent.replies])
        results = [{"r": r.r, "status": v} for r, v in zip(sent.replies, verdicts, strict=True)]
        await answer(send, 200, {"results": results})

    async def _accept(self, agent: KnownAgent, reply: SentReply) -> answers.Verdict:
        if not (is_id(reply.r) and is_id(reply.d)):
            return "stale"
        given = Answer(
            reply.r,
            reply.d,
            reply.lease,
            reply.part,
            reply.final,
            reply.payload,
            agent.workspace,
            agent.id,
            time.time(),
        )
        try:
            verdict: answers.Verdict = await self._dispatcher.commit.submit(answers.accept, given)
        except DatabaseAway:
            raise unavailable() from None
        if verdict == "stored" and is_id(reply.conv):
            self._dispatcher.answered(agent.workspace, reply.conv, final=reply.final)
        return verdict

    async def _pair(self, scope: Scope, receive: Any, send: Any, address: str) -> None:
        if (wait := self._refusals.wait(address)) > 0:
            raise Problem(429, "AMX-3429", "too many refused calls from this address", retry_after=wait)
        wanted = decoded(await read_body(scope, receive, PAIRING_BODY, PAIRING_TIMEOUT), pairing.Wanted)
        try:
            paired: pairing.Paired | None = await self._dispatcher.commit.submit(pairing.pair, wanted)
        except DatabaseAway:
            raise unavailable() from None
        if paired is None:
            raise Problem(
                403,
                "AMX-3410",
                "this code is not valid (any more)",
                next_step="ask the console, or the API, for a new one; a code works once, for ten minutes",
                counts=True,
            )
        url = self._dispatcher.settings.STUDIO_URL.replace("http", "ws", 1) + "/tunnel"
        self._dispatcher.bus.publish(f"workspace:{paired.workspace}", {"t": "agents"})
        await answer(
            send,
            201,
            {
                "agent_id": paired.agent,
                "token": paired.token,
                "tunnel_url": url,
                "workspace": paired.workspace_name,
            },
        )


def decoded(body: bytes, kind: Any) -> Any:
    """The body as `kind`. Raises Problem, naming the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "AMX-3400", str(error)) from None


def unavailable() -> Problem:
    return Problem(503, DatabaseAway.code, "try again shortly; nothing was stored", retry_after=2)
