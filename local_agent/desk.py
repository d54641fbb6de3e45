"""What becomes of each message here: stored, worked on, answered, settled. Knows no socket.

Frames come in through the methods named like them. Frames go out through `say`, which may refuse while there
is no connection: what must arrive is in the journal and is said again.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from .brain import Brain
from .context import Context
from .journal import Entry, Journal, State
from .message import Message, clean
from .outbox import Outbox, Say, ending_of
from .protocol import frames, new_id
from .runner import RETRY_S, Failed, Runner
from .stream import Stream

DEATHS: Final = 5  # a message that the agent died of so often is given up
SUSPECT: Final = 2  # and one that saw it die so often is worked on alone, to tell whether it was the cause


@dataclass(slots=True)
class Job:
    """A message that is being worked on, under its newest lease. `lost`: no longer ours."""

    entry: Entry
    lease: int
    stream: Stream
    said: int = 0  # parts, in this run
    lost: bool = False
    task: asyncio.Task[None] | None = None


class Desk:
    """At most `credits` handlers at a time; never two for one message."""

    def __init__(self, journal: Journal, runner: Runner, brain: Brain, *, credits: int, say: Say) -> None:
        self.credits = credits
        self.outbox = Outbox(journal, say, asyncio.get_running_loop().time)
        self._journal = journal
        self._runner = runner
        self._brain = brain
        self._say = say
        self._slots = asyncio.Semaphore(credits)
        self._one_by_one = asyncio.Lock()
        self._jobs: dict[str, Job] = {}
        self._lease_s = 30.0
        self._extended_at = 0.0
        self._shows = True  # whether this Studio takes partial answers
        self._closing = False

    def held(self) -> list[frames.Held]:
        """For hello: every message that is not settled, with its lease."""
        return [frames.Held(entry.d, entry.lease) for entry in self._journal.open_entries()]

    # -- what Studio says -----------------------------------------------------------------------------------

    def welcome(self, frame: frames.Welcome) -> None:
        self.outbox.ack_s, self._lease_s = frame.ack_s, frame.lease_s
        self._shows = "partial" in frame.caps
        for r in frame.acked:
            self.replied(r, "dup")
        for d in frame.drop:
            self._lose(d)
        for d in frame.keep:
            entry = self._journal.entry(d)
            if entry is not None and entry.state is not State.REPLIED:
                self._take_up(entry)
        for job in self._jobs.values():
            job.stream.show_again()
        self.outbox.repeat()

    def msg(self, frame: frames.Msg) -> None:
        entry = self._journal.receive(frame)
        self._say(frames.Recv(d=frame.d, lease=frame.lease))
        if job := self._jobs.get(frame.d):
            job.lease = entry.lease
        elif entry.state is State.REPLIED:
            self.outbox.repeat(d=entry.d, lease=entry.lease)
        else:
            self._take_up(entry)

    def replied(self, r: str, status: frames.Outcome) -> None:
        self.outbox.confirmed(r)
        self._journal.replied(r, stored=status != "stale")

    def finished(self, frame: frames.Finished) -> None:
        if self.outbox.confirmed(frame.d):
            self._journal.finished(frame.d, stored=frame.status != "stale")

    def extended(self, frame: frames.Extended) -> None:
        for item in frame.items:
            job = self._jobs.get(item.d)
            if not item.ok and job and job.lease == item.lease:
                self._lose(item.d)

    def cancel(self, frame: frames.Cancel) -> None:
        job = self._jobs.get(frame.d)
        if job is None or job.lease <= frame.lease:
            self._lose(frame.d)

    # -- time -----------------------------------------------------------------------------------------------

    @property
    def pace(self) -> float:
        """How often to call `tick`, in seconds, for what Studio asked of us in its welcome."""
        return max(0.02, min(1.0, self.outbox.ack_s / 2, self._lease_s / 12))

    def prune(self) -> None:
        self._journal.prune()

    def tick(self, now: float) -> None:
        """While connected: asks for more time, repeats what was not confirmed."""
        items = [frames.Held(d, job.lease) for d, job in self._jobs.items() if not job.lost]
        if items and now - self._extended_at >= self._lease_s / 3:
            self._extended_at = now
            self._say(frames.Extend(items=items))
        self.outbox.repeat_overdue()

    async def settle(self, seconds: float) -> None:
        """Waits until nothing is unfinished, at most so long; stops what is left, for the next start."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # Once in a life, and many things may end it: no event for that.
        while (self._jobs or self.outbox) and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._closing = True
        tasks = [job.task for job in self._jobs.values() if job.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the work -------------------------------------------------------------------------------------------

    def _take_up(self, entry: Entry) -> None:
        """Studio counts on us for this message; we may be further than it knows."""
        if entry.state is State.CLOSED:
            # It missed how the message ended. That was confirmed once, so only the ending is left to say.
            self._say(ending_of(entry))
        elif entry.state is State.POSTPONED:
            self._say(frames.Done(d=entry.d, lease=entry.lease, status="retry", retry_in_s=RETRY_S))
        elif entry.d not in self._jobs and not self._closing:
            job = Job(entry, entry.lease, Stream(lambda at, text: self._partial(entry.d, at, text)))
            self._jobs[entry.d] = job
            job.task = asyncio.create_task(self._work(entry.d, job))

    async def _work(self, d: str, job: Job) -> None:
        try:
            async with self._turn(job.entry), self._slots:
                if self._journal.start(d):
                    await self._answer(d, job)
        finally:
            job.stream.close()
            del self._jobs[d]
            again = self._journal.entry(d) if job.lost and not self._closing else None
            if again is not None:
                # It was given to us again while the handler was still ending.
                self._take_up(again)

    def _turn(self, entry: Entry) -> AbstractAsyncContextManager[None]:
        """Others that were at hand when the agent died are not to be given up with the one that it died of."""
        return self._one_by_one if entry.starts >= SUSPECT else nullcontext()

    async def _answer(self, d: str, job: Job) -> None:
        entry = job.entry
        if entry.starts >= DEATHS:
            self._end(d, "error AgentDied")
        elif entry.kind != "message":
            self._end(d, f"reject unknown kind {entry.kind}")
        else:
            message = Message.read(d, entry.conv, entry.attempt, entry.ts, entry.payload)
            context = Context(message, self._brain, lambda text: self._part(d, job, text))
            outcome = await self._runner.run(message, context, job.stream)
            if outcome is None:
                self._end(d, "ok")
            elif isinstance(outcome, Failed):
                self._fail(d, job, outcome)
            else:
                self._reply(d, outcome.payload(), final=True)

    def _fail(self, d: str, job: Job, failed: Failed) -> None:
        if failed.status == "error":
            self._end(d, f"error {failed.error}")
        elif self._journal.postpone(d):
            again = failed.retry_in_s
            done = frames.Done(d=d, lease=job.lease, status="retry", retry_in_s=again, error=failed.error)
            self._say(done)  # said once: if it is lost, the lease runs out, which comes to the same

    def _end(self, d: str, ending: str) -> None:
        entry = self._journal.end(d, ending)
        if entry is not None:
            self.outbox.put(d, ending_of(entry))

    def _part(self, d: str, job: Job, text: str) -> None:
        job.said += 1
        # What an earlier run of the handler said, before it failed or died, is not said twice.
        if job.said > job.entry.parts and text.strip():
            self._reply(d, {"text": clean(text)}, final=False)

    def _reply(self, d: str, payload: dict[str, Any], *, final: bool) -> None:
        reply = self._journal.reply(d, new_id(), payload, final=final)
        if reply is not None:
            self.outbox.put(reply.r, reply)

    def _partial(self, d: str, at: int, text: str) -> bool:
        job = self._jobs.get(d)
        if job is None or job.lost or not self._shows:
            return False
        return self._say(frames.Partial(d=d, lease=job.lease, at=at, text=text))

    def _lose(self, d: str) -> None:
        """Not ours any more. An answer that is written already is still offered: Studio may take it late."""
        entry = self._journal.entry(d)
        if entry is None or entry.state is State.REPLIED:
            return
        self._journal.forget(d)
        self.outbox.drop(d)
        if job := self._jobs.get(d):
            job.lost = True
            assert job.task is not None
            job.task.cancel()
