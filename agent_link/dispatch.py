"""Who gets what: matches lanes that are due with agents that have credit, in this process.

Rows decide; this only chooses whom to try. A hint names a lane that has work; a sweep finds what no hint announced:
a lost hint, a lease that ran out, a retry whose time has come, work that came while every agent was away.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from operator import attrgetter
from typing import Any

from prometheus_client import Counter, Gauge

from agent_link import lanes, roster
from agent_link.bus import Bus, Hint
from agent_link.connection import Connection, Out
from agent_link.crash import crash_point
from agent_link.group_commit import DatabaseAway, GroupCommit, Operation
from agent_link.lanes import Assignment, Claim, Finish
from agent_link.models import EnvelopeState
from local_agent.protocol.codes import CloseCode
from local_agent.protocol.session import State

log = logging.getLogger(__name__)

MOST_DUE = 1_000  # lanes of one workspace that are kept in mind

CONNECTED = Gauge("studio_tunnels", "Connected agents")
PUSHED = Counter("studio_envelopes_pushed_total", "Envelopes handed to agents")
SET_ASIDE = Counter("studio_envelopes_set_aside_total", "Envelopes given up after too many attempts")


class Dispatcher:
    def __init__(self, commit: GroupCommit, bus: Bus, settings: Any, node: str) -> None:
        self.commit, self.bus, self.settings, self.node = commit, bus, settings, node
        self.connections: dict[str, Connection] = {}  # by agent id: the newest wins
        self._teams: defaultdict[str, set[Connection]] = defaultdict(set)  # by workspace
        self._due: defaultdict[str, dict[str, None]] = defaultdict(
            dict
        )  # workspace → lanes, in the order they came
        self._something = asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        bus.add("lanes", self._hinted)
        bus.add("agents", self._agent_changed)

    def start(self) -> None:
        self._loops = [
            asyncio.create_task(self._keep(loop)) for loop in (self._hand_out, self._sweep, self._tick)
        ]

    async def _keep(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A mistake in a loop is logged and must not end it: nobody would hand out work any more."""
        while True:
            try:
                await loop()
            except Exception:
                log.exception("%s failed; it begins again", loop.__name__)
                await asyncio.sleep(1)

    async def stop(self) -> None:
        """Tells every agent to come back elsewhere, gives the loops up."""
        for connection in list(self.connections.values()):
            connection.close(CloseCode.GOING_AWAY, "this Studio is stopping")
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, *self._background, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Runs `work` beside; a strong reference keeps it from being collected."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- connections ----------------------------------------------------------------------------------------------

    async def arrive(self, connection: Connection, session: str, sdk: str) -> None:
        """The connection speaks for its agent from now on; an older one is closed."""
        await self.commit.submit(
            roster.arrive,
            {
                "agent": connection.agent.id,
                "connection": connection.id,
                "session": session,
                "node": self.node,
                "sdk": sdk[:80],
            },
        )
        older = self.connections.get(connection.agent.id)
        self.connections[connection.agent.id] = connection
        self._teams[connection.agent.workspace].add(connection)
        CONNECTED.set(len(self.connections))
        if older is not None and older is not connection:
            older.close(CloseCode.REPLACED, "a newer connection of this agent took over")
        self.bus.publish("agents", {"agent": connection.agent.id, "connection": connection.id})
        self._presence(connection)

    def depart(self, connection: Connection) -> None:
        """The socket is gone. What the agent held waits a moment for its return, then goes to another."""
        if self.connections.get(connection.agent.id) is connection:
            del self.connections[connection.agent.id]
            CONNECTED.set(len(self.connections))
        if team := self._teams.get(connection.agent.workspace):
            team.discard(connection)
            if not team:
                del self._teams[connection.agent.workspace]
        self.note(roster.leave, {"agent": connection.agent.id, "connection": connection.id})
        for held in connection.out.values():
            self.note(
                lanes.release,
                {
                    "lane": held.lane,
                    "token": held.token,
                    "connection": connection.id,
                    "untried": 0,
                    "after_s": self.settings.TUNNEL_GRACE,
                },
            )
        self._presence(connection)

    def _presence(self, connection: Connection) -> None:
        self.bus.publish(f"workspace:{connection.agent.workspace}", {"t": "agents"})

    def _agent_changed(self, topic: str, hint: Hint) -> None:
        connection = self.connections.get(hint["agent"])
        if connection is None:
            return
        if hint.get("revoked"):
            connection.close(CloseCode.REVOKED, "this agent's token was revoked")
        elif hint.get("connection") not in (None, connection.id):
            connection.close(CloseCode.REPLACED, "a newer connection of this agent took over")

    # -- handing out ----------------------------------------------------------------------------------------------

    def wake(self) -> None:
        self._something.set()

    def _hinted(self, topic: str, hint: Hint) -> None:
        self._found(hint["workspace"], [hint["lane"]])

    def _found(self, workspace: str, lanes: Iterable[str]) -> None:
        """These lanes have work. What nobody here could do is forgotten; the sweep of whoever can finds it."""
        if workspace in self._teams and len(self._due[workspace]) < MOST_DUE:
            self._due[workspace].update(dict.fromkeys(lanes))
            self._something.set()

    async def _hand_out(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            wanted = self._match()
            if wanted:
                # In the background: while this batch commits, the next may gather.
                self.spawn(self._claim(wanted))

    def _match(self) -> list[Assignment]:
        """Due lanes × free credit. Lanes for which there is none now keep their place until there is."""
        wanted = []
        for workspace, due in list(self._due.items()):
            team = self._teams.get(workspace, set())
            while due and (chosen := max(team, key=attrgetter("free"), default=None)) and chosen.free:
                chosen.reserved += 1
                lane = next(iter(due))
                del due[lane]
                wanted.append(Assignment(lane, chosen.agent.id, chosen.id, self.settings.TUNNEL_LEASE))
            if not due or not team:
                del self._due[workspace]
        return wanted

    async def _claim(self, wanted: list[Assignment]) -> None:
        crash_point("C5")
        asked: list[asyncio.Future[Any]] = []
        with contextlib.suppress(DatabaseAway):
            for one in wanted:
                asked.append(self.commit.submit(lanes.claim, one))
        claims = await asyncio.gather(*asked, return_exceptions=True)
        crash_point("C6")
        for one, claim in itertools.zip_longest(wanted, claims):
            connection = self.connections.get(one.agent)
            if connection is not None and connection.id == one.connection:
                connection.reserved -= 1
            if isinstance(claim, Claim):
                self._push(connection, one, claim)
        self.wake()  # credit that was promised and not used is free again

    def _push(self, connection: Connection | None, one: Assignment, claim: Claim) -> None:
        reachable = connection is not None and connection.id == one.connection and connection.ready
        if claim.attempt > self.settings.TUNNEL_ATTEMPTS:
            self._set_aside(claim)
        elif connection is not None and reachable and connection.push(claim):
            PUSHED.inc()
            connection.flush_soon()
            self.bus.publish(f"conversation:{claim.lane}", {"t": "pushed", "d": claim.envelope})
        else:
            # What the connection could not take counts as an attempt, so that it does not come round for ever.
            given = {"lane": claim.lane, "token": claim.token, "connection": one.connection}
            self.note(lanes.release, given | {"untried": int(not reachable), "after_s": 0.0})

    def _set_aside(self, claim: Claim) -> None:
        SET_ASIDE.inc()
        log.error("envelope %s was given up after %d attempts", claim.envelope, claim.attempt - 1)
        self.note(
            set_aside, Finish(claim.envelope, None, EnvelopeState.DEAD, "AMX-3504: no agent finished it")
        )

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.settings.SWEEP_SECONDS)
            workspaces = list({c.agent.workspace for c in self.connections.values() if c.free})
            if not workspaces:
                continue
            try:
                found = await asyncio.gather(*[self.commit.submit(lanes.due, w) for w in workspaces])
            except DatabaseAway:
                continue
            for workspace, due in zip(workspaces, found, strict=True):
                if due:
                    self._found(workspace, due)

    async def _tick(self) -> None:
        """Heartbeats of every tunnel, and every so often a sign of life in its agent's row."""
        noted = time.monotonic()
        while True:
            await asyncio.sleep(1)
            for connection in list(self.connections.values()):
                connection.tick()
            if (now := time.monotonic()) - noted >= self.settings.TUNNEL_HEARTBEAT:
                noted = now
                for connection in list(self.connections.values()):
                    self.spawn(self._sign_of_life(connection))

    async def _sign_of_life(self, connection: Connection) -> None:
        row = {
            "agent": connection.agent.id,
            "connection": connection.id,
            "draining": connection.session.state is State.PAUSED,
        }
        try:
            if not await self.commit.submit(roster.seen, row):
                connection.close(CloseCode.REPLACED, "revoked, or replaced by a newer connection")
        except DatabaseAway:
            pass

    # -- telling others -------------------------------------------------------------------------------------------

    def tell(self, held: Out, hint: Hint) -> None:
        self.bus.publish(f"conversation:{held.lane}", hint)

    def answered(self, workspace: str, lane: str, *, final: bool) -> None:
        """An answer is stored: it waits to be sent, and the lane may have more work."""
        self.bus.publish("outbox", {})
        self.bus.publish(f"conversation:{lane}", {"t": "message"})
        self.bus.publish(f"workspace:{workspace}", {"t": "message", "conversation": lane})
        if final:
            self.bus.publish("lanes", {"workspace": workspace, "lane": lane})

    def ended(self, workspace: str, lane: str) -> None:
        self.bus.publish(f"conversation:{lane}", {"t": "message"})
        self.bus.publish("lanes", {"workspace": workspace, "lane": lane})

    def note(self, operation: Operation, row: Any) -> None:
        """Commits something that nobody waits for; where it fails, expiry and the sweep make up for it."""

        def noted(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                log.warning("%s was not noted: %s", operation.__name__, error)

        try:
            self.commit.submit(operation, row).add_done_callback(noted)
        except DatabaseAway as error:
            log.warning("%s was not noted: %s", operation.__name__, error)


def set_aside(cursor: Any, finishes: Any) -> list[None]:
    """Operation: lanes.finish, one result per row."""
    lanes.finish(cursor, finishes)
    return [None] * len(finishes)
