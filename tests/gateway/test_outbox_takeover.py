"""Two senders meet over one conversation: the claim of one ran out, and another took it over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agent_link.bus import Bus
from agent_link.models import Agent
from gateway import outbox
from gateway.messages import Limits, Outbound
from gateway.models import Channel, Conversation, OutboxPart, PartState
from gateway.outbox import CALLS_PER_CHANNEL, Intent, Outbox, Outcome, Part
from tests.make import answer, make_conversation, run

pytestmark = pytest.mark.sqlite


def claimed(claim_s: float = 60.0) -> Sequence[Part]:
    parts: Sequence[Part] = run(outbox.claim, {"claim_s": claim_s, "born_s": -86_400.0})[0]
    return parts


@pytest.fixture
def conversation(bot: Channel, agent: Agent) -> Conversation:
    """With two answers to be sent."""
    conversation = make_conversation(bot, "one", "two")
    answer(conversation, agent, "first")
    answer(conversation, agent, "second")
    return conversation


@pytest.fixture
def both(conversation: Conversation) -> tuple[Sequence[Part], Sequence[Part]]:
    """The parts, as claimed by one sender and then, because it was too slow, by another."""
    return claimed(claim_s=0.0), claimed()


Both = tuple[Sequence[Part], Sequence[Part]]


def states() -> list[str]:
    return list(OutboxPart.objects.order_by("place").values_list("state", flat=True))


def pending(conversation: Conversation) -> int:
    conversation.refresh_from_db()
    return conversation.send_pending


def test_an_intent_that_is_asked_for_again_is_still_ours(conversation: Conversation) -> None:
    """As after a COMMIT of which the answer was lost: the group commit tries the batch again."""
    part = claimed()[0]
    assert run(outbox.intend, Intent(part, 60.0)) == [True]
    assert run(outbox.intend, Intent(part, 60.0)) == [True]
    assert states() == ["sending", "ready"]


def test_an_intent_keeps_the_claim_from_running_out(conversation: Conversation) -> None:
    part = claimed(claim_s=0.0)[0]
    assert run(outbox.intend, Intent(part, 60.0)) == [True]
    assert claimed() == []


def test_who_lost_the_claim_may_not_call(both: Both) -> None:
    (slow, _), (quick, _) = both
    assert run(outbox.intend, Intent(slow, 60.0), Intent(quick, 60.0)) == [False, True]
    assert run(outbox.renew, Intent(slow, 0.0)) == [False]
    assert claimed() == [], "who lost the claim cannot give it back either"


def test_who_lost_the_claim_may_not_put_a_part_back(both: Both) -> None:
    """Later ones may be out by then."""
    (slow, _), (quick, _) = both
    run(outbox.intend, Intent(quick, 60.0))
    run(outbox.settle, Outcome(slow, PartState.READY, "AMX-2429", after_s=0.0))
    assert states() == ["sending", "ready"]
    assert claimed() == []


@pytest.mark.parametrize("order", [1, -1])
def test_two_outcomes_of_one_part_count_once_and_sent_is_the_truth(
    conversation: Conversation, both: Both, order: int
) -> None:
    (slow, _), (quick, _) = both
    outcomes = [
        Outcome(slow, PartState.SENT, external_id="42:1"),
        Outcome(quick, PartState.UNKNOWN, "AMX-2504"),
    ]
    run(outbox.settle, *outcomes[::order])
    assert states() == ["sent", "ready"]
    assert pending(conversation) == 1


def test_what_was_taken_for_unknown_is_sent_once_somebody_knows(
    conversation: Conversation, both: Both
) -> None:
    (slow, _), (quick, _) = both
    run(outbox.intend, Intent(quick, 60.0))
    run(outbox.settle, Outcome(quick, PartState.UNKNOWN, "AMX-2504"))
    run(outbox.settle, Outcome(slow, PartState.SENT, external_id="42:1"))
    run(outbox.settle, Outcome(slow, PartState.SENT, external_id="42:1"))
    assert states() == ["sent", "ready"]
    assert pending(conversation) == 1


def test_the_newest_claim_says_when_a_conversation_falls_due_again(both: Both) -> None:
    (slow, _), (quick, _) = both
    run(
        outbox.settle,
        Outcome(quick, PartState.READY, "AMX-2429", after_s=60.0),
        Outcome(slow, PartState.FAILED, "AMX-2422", after_s=0.0),
    )
    assert claimed() == []


def test_a_sender_hears_whether_more_waits(conversation: Conversation) -> None:
    first, second = claimed()
    assert run(outbox.settle, Outcome(first, PartState.SENT, external_id="42:1")) == [True]
    assert run(outbox.settle, Outcome(second, PartState.SENT, external_id="42:2")) == [False]


# -- the sender itself, beside a provider that takes its time -------------------------------------------------------


class Commits:
    """Stands in for the group commit: everything is granted at once, and remembered."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)
        self.outcomes: list[Outcome] = []
        self.given_back: list[Part] = []

    async def submit(self, operation: Callable[..., Any], row: Any) -> Any:
        if operation is outbox.claim:
            parts, self._parts = self._parts, []
            return parts
        if operation is outbox.settle:
            self.outcomes.append(row)
            return False
        if operation is outbox.renew:
            self.given_back.append(row.part)
        return True


class Provider:
    limits = Limits(text=100)

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.under_way = self.most = 0

    async def send(self, config: Any, part: Outbound) -> str:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        return f"id of {part.key}"


PART = Part("p", "m", "c", "w", 1, "42", "channel", "hello", "ready", 0, expired=False)


def sender(provider: Provider, parts: Sequence[Part], claim_s: float = 60.0) -> tuple[Outbox, Commits]:
    commits = Commits(parts)
    channel = SimpleNamespace(id="channel", kind="slow", adapter=provider, config=None)

    async def get(_channel: str) -> Any:
        return channel

    settings = SimpleNamespace(SEND_CLAIM=claim_s, SEND_LIFETIME=86_400.0, SWEEP_SECONDS=0.02)
    return Outbox(commits, SimpleNamespace(get=get), Bus(), settings), commits  # type: ignore[arg-type]


def in_conversations(count: int) -> list[Part]:
    return [replace(PART, id=f"p{n:02}", conversation=f"c{n:02}") for n in range(count)]


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a number that reaches a value sets no event
            await asyncio.sleep(0.01)


async def test_few_calls_are_under_way_at_a_time() -> None:
    """Those are what a crash makes unknown."""
    provider = Provider(takes_s=0.01)
    box, commits = sender(provider, in_conversations(50))
    box.start()
    await until(lambda: len(commits.outcomes) == 50)
    await box.stop()
    assert provider.most == CALLS_PER_CHANNEL
    assert {outcome.state for outcome in commits.outcomes} == {PartState.SENT}


async def test_a_call_is_given_up_before_its_claim_runs_out() -> None:
    box, commits = sender(Provider(takes_s=30), [PART], claim_s=0.4)
    began = time.monotonic()
    box.start()
    await until(lambda: commits.outcomes)
    assert time.monotonic() - began < 0.4
    await box.stop()
    assert commits.outcomes[0].state is PartState.UNKNOWN
    assert commits.outcomes[0].error.startswith("AMX-2504")


async def test_stopping_lets_calls_come_home_and_gives_the_rest_back() -> None:
    provider = Provider(takes_s=0.2)
    box, commits = sender(provider, in_conversations(20))
    box.start()
    await until(lambda: provider.under_way == CALLS_PER_CHANNEL)
    await box.stop()
    assert {outcome.state for outcome in commits.outcomes} == {PartState.SENT}
    assert len(commits.outcomes) == CALLS_PER_CHANNEL
    assert len(commits.given_back) == 20 - CALLS_PER_CHANNEL
