"""Whatever agents do, and in whatever order: the lanes do what a few lines of Python say they should."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from agent_link import answers
from agent_link.answers import Answer
from agent_link.lanes import Claim
from agent_link.models import Envelope, EnvelopeState, Reply
from tests.agent_link.notes import LEASE_S, Holder, due_in, expire, holder, open_lane, put, row
from tests.make import make_agent, run
from workspaces.models import Workspace

RETRY_S = 3 * LEASE_S


@dataclass
class Model:
    """What a lane should be. `due`: the envelope at its head may be handed out now."""

    id: str
    waiting: list[str] = field(default_factory=list)
    due: bool = True
    token: int = 0
    attempt: int = 0
    done: int = 0
    holder: str | None = None  # the connection of the last hand-out

    def arrive(self, envelope: str) -> None:
        self.due = self.due or not self.waiting
        self.waiting.append(envelope)

    def hand_out(self, connection: str) -> None:
        self.token, self.attempt, self.due, self.holder = self.token + 1, self.attempt + 1, False, connection

    def finish(self) -> None:
        self.waiting.pop(0)
        self.done, self.attempt, self.token, self.due = self.done + 1, 0, self.token + 1, True

    def holds(self, claim: Claim) -> bool:
        return claim.token == self.token and self.waiting[:1] == [claim.envelope]

    def takes(self, claim: Claim, *, whole: bool) -> bool:
        return self.waiting[:1] == [claim.envelope] and (claim.token == self.token or whole)


@dataclass(frozen=True)
class Given:
    """A claim and who got it, on which connection."""

    agent: Holder
    connection: str
    claim: Claim


class Lanes(RuleBasedStateMachine):
    claims = Bundle("claims")
    said = Bundle("said")

    @initialize()
    def begin(self) -> None:
        ann = holder()
        self.agents = [ann, Holder(make_agent(Workspace.objects.get(pk=ann.workspace), "ben"))]
        self.stranger = holder()
        self.lanes = [Model(open_lane(ann.workspace)) for _ in range(2)]
        self.of = {lane.id: lane for lane in self.lanes}
        self.stored: set[str] = set()
        self.highest = dict.fromkeys(self.of, 0)

    @rule(lane=st.integers(0, 1), beside=st.integers(0, 1))
    def arrive(self, lane: int, beside: int) -> None:
        (envelope,) = put(self.lanes[lane].id, 1, beside=beside)
        self.lanes[lane].arrive(envelope)

    @rule(target=claims, lane=st.integers(0, 1), who=st.integers(0, 1))
    def claim(self, lane: int, who: int) -> Any:
        model, agent = self.lanes[lane], self.agents[who]
        claim = agent.claim(model.id)
        if not (model.waiting and model.due):
            assert claim is None
            return multiple()
        model.hand_out(agent.connection)
        assert claim == Claim(
            model.id, model.waiting[0], model.token, model.attempt, model.done + 1, "note", "{}"
        )
        assert claim.token > self.highest[model.id]
        self.highest[model.id] = claim.token
        return Given(agent, agent.connection, claim)

    @rule(given=claims)
    def extend(self, given: Given) -> None:
        model = self.of[given.claim.lane]
        assert given.agent.extend(given.claim) == model.holds(given.claim)
        model.due = model.due and not model.holds(given.claim)

    @rule(lane=st.integers(0, 1))
    def time_passes(self, lane: int) -> None:
        expire(self.lanes[lane].id)
        self.lanes[lane].due = True

    @rule(target=said, given=claims, part=st.integers(0, 1), final=st.booleans())
    def reply(self, given: Given, part: int, final: bool) -> Any:
        model = self.of[given.claim.lane]
        answer = given.agent.answer(given.claim, part=part, final=final)
        stored = model.takes(given.claim, whole=final and part == 0)
        assert self._say(answer) == ("stored" if stored else "stale")
        if not stored:
            return multiple()
        self.stored.add(answer.id)
        if final:
            model.finish()
        return answer

    @rule(answer=said)
    def say_it_again(self, answer: Answer) -> None:
        assert self._say(answer) == "dup"

    @rule(given=claims)
    def a_stranger_replies(self, given: Given) -> None:
        assert self.stranger.reply(given.claim) == "stale"

    @rule(given=claims, status=st.sampled_from(["ok", "error", "retry"]))
    def done(self, given: Given, status: str) -> None:
        model = self.of[given.claim.lane]
        holds = model.holds(given.claim)
        assert given.agent.end(given.claim, status, RETRY_S) == holds
        if holds and status == "retry":
            model.token, model.due = model.token + 1, False
        elif holds:
            model.finish()

    @rule(given=claims)
    def disconnect(self, given: Given) -> None:
        model, agent = self.of[given.claim.lane], given.agent
        holds = model.holds(given.claim) and model.holder == given.connection
        now, agent.connection = agent.connection, given.connection
        assert agent.release(given.claim) == holds
        agent.connection = now
        model.due = model.due or holds

    @rule(target=claims, given=claims)
    def come_back(self, given: Given) -> Any:
        model = self.of[given.claim.lane]
        adopted = given.agent.adopt(given.claim)
        assert adopted == model.holds(given.claim)
        if not adopted:
            return multiple()
        model.due, model.holder = False, given.agent.connection
        return Given(given.agent, given.agent.connection, given.claim)

    @invariant()
    def rows_say_the_same(self) -> None:
        """I3: finished from the front, without a gap. I4: tokens only grow. I7: nothing is stuck."""
        for model in self.lanes:
            lane = row(model.id)
            assert (lane.token, lane.attempt, lane.done) == (model.token, model.attempt, model.done)
            assert lane.pending == len(model.waiting)
            ended = list(Envelope.objects.filter(lane=lane).order_by("seq").values_list("state", flat=True))
            assert [state != EnvelopeState.NEW for state in ended] == [True] * lane.done + [
                False
            ] * lane.pending
            if lane.pending:
                assert (due_in(model.id) <= 0) == model.due
                assert due_in(model.id) <= RETRY_S

    @invariant()
    def what_is_acknowledged_is_there(self) -> None:
        """I5: every answer that was called stored has its row, once."""
        found = [pk.hex for pk in Reply.objects.filter(pk__in=self.stored).values_list("pk", flat=True)]
        assert sorted(found) == sorted(self.stored)

    def _say(self, answer: Answer) -> Any:
        return run(answers.accept, answer)[0]


@pytest.mark.django_db
@pytest.mark.sqlite
def test_lanes_keep_their_laws() -> None:
    run_state_machine_as_test(
        Lanes,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
