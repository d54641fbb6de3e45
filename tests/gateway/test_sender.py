"""The sender at work on real rows, with a provider that does as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models.functions import Now

from agent_link.bus import Bus
from agent_link.group_commit import GroupCommit
from gateway import outbox
from gateway.errors import Ambiguous, BadConfig, ConfigRefused, ProviderAway, Refused, Throttled, Unreachable
from gateway.messages import Limits, Outbound
from gateway.models import Channel, ChannelState, Conversation, OutboxPart
from gateway.outbox import Intent, Outbox
from gateway.outgoing import Draft, compose
from tests.agent_link.tunnels import in_thread
from tests.make import make_channel, make_conversation, make_workspace, run
from workspaces.vault import SealBroken

pytestmark = pytest.mark.sqlite

ADA, BOB = "42", "43"
SETTINGS = SimpleNamespace(SEND_CLAIM=60.0, SEND_LIFETIME=86_400.0, SWEEP_SECONDS=0.02)


class Provider:
    """`script`: what the next calls for an address come to, an exception being raised; then all succeed."""

    def __init__(self) -> None:
        self.limits = Limits(text=4_096)
        self.script: dict[str, list[Any]] = {}
        self.calls: list[tuple[float, Outbound]] = []

    async def send(self, config: Any, part: Outbound) -> str:
        self.calls.append((time.monotonic(), part))
        script = self.script.get(part.address)
        end = script.pop(0) if script else part.key
        if isinstance(end, Exception):
            raise end
        return str(end)

    def to(self, address: str = ADA) -> list[str]:
        return [part.text for _, part in self.calls if part.address == address]

    def times(self, address: str = ADA) -> list[float]:
        return [at for at, part in self.calls if part.address == address]


class Desk:
    """Channel, conversations, and the directory in which the sender finds the channel: or `trouble`, or nothing."""

    def __init__(self) -> None:
        self.channel = make_channel(make_workspace(), "telegram")
        self.ada = make_conversation(self.channel, sender=ADA)
        self.provider = Provider()
        self.found = True
        self.trouble: Exception | None = None

    async def get(self, channel: str) -> Any:
        if self.trouble is not None:
            raise self.trouble
        open_channel = SimpleNamespace(id=channel, kind="scripted", adapter=self.provider, config=None)
        return open_channel if self.found else None

    def say(self, *texts: str, to: Conversation | None = None) -> None:
        lane = (to or self.ada).pk.hex
        run(compose, *[Draft(lane, text, time.time()) for text in texts])

    def die_while_sending(self, *, called: bool) -> str:
        """A sender claimed what waits, perhaps wrote its intent down, and was never heard of again."""
        (parts,) = run(outbox.claim, {"claim_s": 0.0, "born_s": -86_400.0})
        if called:
            assert run(outbox.intend, Intent(parts[0], 0.0)) == [True]
        return str(parts[0].id)

    def states(self) -> list[str]:
        return list(OutboxPart.objects.order_by("conversation", "place").values_list("state", flat=True))

    def ended(self) -> bool:
        return not {"ready", "sending"} & set(self.states())

    def tried(self) -> bool:
        return OutboxPart.objects.filter(attempts__gt=0).exists()

    async def send_until(self, holds: Callable[[], bool]) -> list[str]:
        """Runs a sender until it is so; the states of all parts then."""
        commit = GroupCommit("test", limit=1_000)
        commit.start()
        box = Outbox(commit, self, Bus(), SETTINGS)  # type: ignore[arg-type]
        box.start()
        async with asyncio.timeout(10):
            while not await in_thread(holds)():  # noqa: ASYNC110  (rows ring no bell)
                await asyncio.sleep(0.01)
        await box.stop()
        await commit.stop()
        return await in_thread(self.states)()  # type: ignore[no-any-return]


@pytest.fixture
def desk(transactional_db: None, settings: Any) -> Desk:
    settings.REDIS_URL = ""
    return Desk()


async def test_many_parts_go_out_in_their_order(desk: Desk) -> None:
    long = "\n\n".join(f"{n} " + "x" * 4_000 for n in range(7))
    await in_thread(desk.say)("first", long, "last")
    assert await desk.send_until(desk.ended) == ["sent"] * 9
    assert [text[:5] for text in desk.provider.to()] == ["first", *[f"{n} xxx" for n in range(7)], "last"]
    assert len({part.key for _, part in desk.provider.calls}) == 9


async def test_a_provider_that_throttles_is_not_asked_before_its_time(desk: Desk) -> None:
    """The conversation keeps its order meanwhile, and its key; the others go on."""
    bob = await in_thread(make_conversation)(desk.channel, sender=BOB, name="Bob")
    desk.provider.script[ADA] = [Throttled(retry_after=0.6), Throttled(retry_after=0.3)]
    await in_thread(desk.say)("one", "two")
    await in_thread(desk.say)("not held up", to=bob)
    await desk.send_until(desk.ended)
    assert desk.provider.to(ADA) == ["one", "one", "one", "two"]
    first, second, third, _ = desk.provider.times(ADA)
    assert second - first >= 0.6
    assert third - second >= 0.3
    assert desk.provider.times(BOB)[0] - first < 0.5
    assert len({part.key for _, part in desk.provider.calls if part.text == "one"}) == 1


async def test_an_intent_without_an_outcome_is_unknown_and_not_sent_again(desk: Desk) -> None:
    """Studio died during the call; the next part goes out."""
    await in_thread(desk.say)("handed over", "after")
    await in_thread(desk.die_while_sending)(called=True)
    assert await desk.send_until(desk.ended) == ["unknown", "sent"]
    assert desk.provider.to() == ["after"]


async def test_a_claim_without_an_intent_is_sent(desk: Desk) -> None:
    await in_thread(desk.say)("claimed only")
    await in_thread(desk.die_while_sending)(called=False)
    assert await desk.send_until(desk.ended) == ["sent"]
    assert desk.provider.to() == ["claimed only"]


async def test_a_provider_that_knows_repeats_is_simply_asked_again(desk: Desk) -> None:
    """Whether the first call went out does not matter: the key is the same."""
    desk.provider.limits = Limits(text=4_096, idempotent=True)
    await in_thread(desk.say)("hello")
    key = await in_thread(desk.die_while_sending)(called=False)
    assert await desk.send_until(desk.ended) == ["sent"]
    assert [(part.text, part.key) for _, part in desk.provider.calls] == [("hello", key)]


async def test_credentials_that_are_refused_are_shown_and_what_waits_waits(desk: Desk) -> None:
    desk.provider.script[ADA] = [ConfigRefused("Telegram does not know this bot token")]
    await in_thread(desk.say)("hello", "after")
    assert await desk.send_until(desk.tried) == ["ready", "ready"]
    channel = await in_thread(Channel.objects.get)()
    assert channel.state == ChannelState.ERROR
    assert channel.state_detail == "AMX-2401: Telegram does not know this bot token"
    assert desk.provider.to() == ["hello"]


@pytest.mark.parametrize(
    "trouble", [SealBroken("the seal of … does not open"), BadConfig("kind 'x' is not one")]
)
async def test_a_channel_that_cannot_be_opened_loses_nothing(desk: Desk, trouble: Exception) -> None:
    desk.trouble = trouble
    await in_thread(desk.say)("hello")
    assert await desk.send_until(desk.tried) == ["ready"]
    assert (await in_thread(Channel.objects.get)()).state == ChannelState.ERROR
    desk.trouble = None
    await in_thread(Conversation.objects.update)(send_due_at=Now())
    assert await desk.send_until(desk.ended) == ["sent"]


async def test_a_part_is_given_up_after_its_lifetime(desk: Desk) -> None:
    desk.provider.script[ADA] = [ProviderAway("no connection")]
    await in_thread(desk.say)("late", "in time")
    late = OutboxPart.objects.filter(text="late")
    await in_thread(late.update)(created_at=Now() - timedelta(days=2))
    assert await desk.send_until(desk.ended) == ["failed", "sent"]
    assert (await in_thread(late.get)()).error == "AMX-2503: no connection"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("too long"), "failed"),
        (Unreachable("blocked"), "failed"),
        (Ambiguous("no answer"), "unknown"),
        (KeyError("a mistake of ours"), "unknown"),
    ],
)
async def test_what_cannot_be_helped_ends_its_part_alone(desk: Desk, error: Exception, state: str) -> None:
    desk.provider.script[ADA] = [error]
    await in_thread(desk.say)("one", "two")
    assert await desk.send_until(desk.ended) == [state, "sent"]


async def test_what_waits_in_a_channel_that_is_gone_fails(desk: Desk) -> None:
    desk.found = False
    await in_thread(desk.say)("one", "two")
    assert await desk.send_until(desk.ended) == ["failed", "failed"]
    assert desk.provider.calls == []


async def test_an_id_that_the_provider_gave_before_is_no_reason_for_doubt(desk: Desk) -> None:
    """It was sent; only its receipt will not be found by that id."""
    desk.provider.script[ADA] = ["42:1", "42:1"]
    await in_thread(desk.say)("one", "two")
    assert await desk.send_until(desk.ended) == ["sent", "sent"]
    ids = await in_thread(
        lambda: list(OutboxPart.objects.order_by("place").values_list("external_id", flat=True))
    )()
    assert ids == ["42:1", None]
