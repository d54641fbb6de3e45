"""Studio's end of the tunnel, from the upgrade to the last reply, with agents that speak the protocol to it."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from agent_link.models import Agent, Envelope, EnvelopeState
from local_agent.protocol import (
    MAX_FRAME,
    CloseCode,
    Credit,
    Done,
    Error,
    Extend,
    Extended,
    Finished,
    Held,
    Msg,
    Pause,
    Replied,
    Reply,
    Resume,
    new_id,
)
from tests.agent_link import notes
from tests.agent_link.tunnels import Shop, Studio, Tunnel, answer, in_thread, running, writer_busy
from workspaces.keys import mint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

row, expire, put, open_lane = map(in_thread, (notes.row, notes.expire, notes.put, notes.open_lane))


async def test_one_after_the_other_each_after_its_answer(studio: Studio, shop: Shop) -> None:
    tunnel = Tunnel(studio, shop.token)
    welcome = await tunnel.hello()
    assert (welcome.keep, welcome.drop, welcome.caps, welcome.resumed) == ([], [], ["partial"], False)
    msg = await shop.message(tunnel)
    for seq in (1, 2, 3):
        assert (msg.seq, msg.attempt, msg.conv) == (seq, 1, shop.lane)
        assert await tunnel.quiet(), "one at a time, whatever the credit"
        tunnel.say(answer(msg))
        assert (await tunnel.expect(Replied)).status == "stored"
        if seq < 3:
            msg = await tunnel.expect(Msg)
    assert (await row(shop.lane)).pending == 0


@pytest.mark.parametrize(
    ("token", "protocol", "status"),
    [
        ("", "aimatrix.tunnel.v1", 401),
        ("amx_agent_" + "0" * 36, "aimatrix.tunnel.v1", 401),
        (mint("agent"), "aimatrix.tunnel.v1", 403),
        (mint("api"), "aimatrix.tunnel.v1", 401),
        ("the shop's", "aimatrix.tunnel.v9", 426),
    ],
)
async def test_an_upgrade_is_refused_with_a_reason(
    studio: Studio, shop: Shop, token: str, protocol: str, status: int
) -> None:
    tunnel = Tunnel(studio, token if status != 426 else shop.token, protocols=[protocol])
    await tunnel.end()
    assert tunnel.status == status
    assert tunnel.refusal["code"].startswith("AMX-3")
    assert not token or token not in json.dumps(tunnel.refusal)


async def test_who_guesses_tokens_must_wait(studio: Studio, shop: Shop) -> None:
    statuses = []
    for _ in range(32):
        tunnel = Tunnel(studio, "amx_agent_guess")
        await tunnel.end()
        statuses.append(tunnel.status)
    assert statuses == [401] * 30 + [429] * 2


async def test_a_backlog_drains_as_fast_as_credit_comes_back(studio: Studio, shop: Shop) -> None:
    """No sweep helps here: what found no credit at first must be remembered."""
    opened = [await open_lane(shop.workspace, 1) for _ in range(20)]
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello(credits=2)
    shop.hint(*opened)
    answered = []
    for _ in opened:
        msg = await tunnel.expect(Msg)
        tunnel.say(answer(msg))
        await tunnel.expect(Replied)
        answered.append(msg.conv)
    assert answered == opened, "and in the order in which they came"


async def test_work_goes_to_whoever_has_most_room(studio: Studio, shop: Shop) -> None:
    small, large = Tunnel(studio, shop.token), Tunnel(studio, await shop.new_token())
    await small.hello(credits=1)
    await large.hello(credits=3)
    shop.hint(*[await open_lane(shop.workspace, 1) for _ in range(6)])
    for tunnel in (large, large, large, small):
        await tunnel.expect(Msg)
    assert await small.quiet()
    assert await large.quiet()


async def test_no_more_than_the_agent_asks_for(shop: Shop) -> None:
    """I6, also where Studio's own limit is the lower one."""
    async with running(shop, TUNNEL_MAX_CREDITS=2) as studio:
        tunnel = Tunnel(studio, shop.token)
        assert (await tunnel.hello(credits=50)).max_credits == 2
        shop.hint(*[await open_lane(shop.workspace, 1) for _ in range(4)])
        first, _ = await tunnel.expect(Msg), await tunnel.expect(Msg)
        assert await tunnel.quiet()
        tunnel.say(Credit(set=1), answer(first))
        await tunnel.expect(Replied)
        assert await tunnel.quiet(), "one is still there, and one is the level now"
        tunnel.say(Credit(set=2))
        await tunnel.expect(Msg)


async def test_a_pausing_agent_gets_nothing_until_it_resumes(studio: Studio, shop: Shop) -> None:
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello()
    tunnel.say(Pause())
    shop.hint(shop.lane)
    assert await tunnel.quiet()
    tunnel.say(Resume())
    assert (await tunnel.expect(Msg)).attempt == 1


async def test_credit_taken_back_while_a_claim_commits(shop: Shop) -> None:
    """The message stays in its lane; it has not been tried, and the credit promised to it is not lost."""
    async with running(shop, SWEEP_SECONDS=0.05) as studio:
        tunnel = Tunnel(studio, shop.token)
        await tunnel.hello(credits=1)
        async with writer_busy(studio.commit):
            shop.hint(shop.lane)
            await tunnel.said(Credit(set=0))
        assert await tunnel.quiet()
        tunnel.say(Credit(set=1))
        assert (await tunnel.expect(Msg)).attempt == 1


async def test_a_message_that_fits_no_frame_is_set_aside(shop: Shop) -> None:
    lane = await open_lane(shop.workspace)
    (large,) = await put(lane, payload=json.dumps({"text": "x" * MAX_FRAME}))
    (after,) = await put(lane)
    async with running(shop, SWEEP_SECONDS=0.05) as studio:
        tunnel = Tunnel(studio, shop.token)
        await tunnel.hello()
        shop.hint(lane)
        assert after in {(await tunnel.expect(Msg)).d for _ in (lane, shop.lane)}, "the lane went on"
        await shop.until(large, EnvelopeState.DEAD)


async def test_a_message_that_always_ends_the_agent_is_set_aside(shop: Shop) -> None:
    """Poison: handed out three times, then the lane goes on."""
    async with running(shop, TUNNEL_ATTEMPTS=3) as studio:
        for attempt in (1, 2, 3):
            tunnel = Tunnel(studio, shop.token)
            await tunnel.hello()
            msg = await shop.message(tunnel)
            assert (msg.seq, msg.attempt) == (1, attempt)
            await tunnel.leave()
            await expire(shop.lane)
        tunnel = Tunnel(studio, shop.token)
        await tunnel.hello()
        shop.hint(shop.lane)
        await shop.until(msg.d, EnvelopeState.DEAD)
        assert (await shop.message(tunnel)).seq == 2


async def test_an_agent_that_comes_back_keeps_what_it_had(studio: Studio, shop: Shop) -> None:
    """And the end of its old connection, noticed later, takes nothing from the new one."""
    old = Tunnel(studio, shop.token)
    session = (await old.hello()).session
    msg = await shop.message(old)
    new = Tunnel(studio, shop.token)
    welcome = await new.hello(inflight=[msg], session=session)
    assert (welcome.keep, welcome.drop, welcome.resumed) == ([msg.d], [], True)
    await old.end()
    assert old.closed == CloseCode.REPLACED
    assert await new.quiet(), "it is not handed out again"
    new.say(answer(msg))
    assert (await new.expect(Replied)).status == "stored"


async def test_an_agent_that_comes_back_too_late_drops_it(studio: Studio, shop: Shop) -> None:
    first = Tunnel(studio, shop.token)
    await first.hello()
    msg = await shop.message(first)
    await first.leave()
    await expire(shop.lane)
    other = Tunnel(studio, await shop.new_token())
    await other.hello()
    again = await shop.message(other)
    assert (again.d, again.attempt) == (msg.d, 2)
    back = Tunnel(studio, shop.token)
    r = new_id()
    welcome = await back.hello(inflight=[msg], unacked=[r, "not-an-id"])
    assert (welcome.keep, welcome.drop, welcome.acked) == ([], [msg.d], [])


async def test_what_was_stored_while_the_connection_broke_is_told(studio: Studio, shop: Shop) -> None:
    tunnel, r = Tunnel(studio, shop.token), new_id()
    await tunnel.hello()
    tunnel.say(answer(await shop.message(tunnel), r))
    await tunnel.expect(Replied)
    back = Tunnel(studio, shop.token)
    assert (await back.hello(unacked=[r, new_id()])).acked == [r]


async def test_a_lost_lease_is_told_at_each_word(studio: Studio, shop: Shop) -> None:
    slow = Tunnel(studio, shop.token)
    await slow.hello()
    msg = await shop.message(slow)
    await expire(shop.lane)
    quick = Tunnel(studio, await shop.new_token())
    await quick.hello(credits=9)
    again = await shop.message(quick)
    assert again.d == msg.d
    slow.say(Extend(items=[Held(d=msg.d, lease=msg.lease)]))
    assert [item.ok for item in (await slow.expect(Extended)).items] == [False]
    slow.say(Done(d=msg.d, lease=msg.lease, status="ok"))
    assert (await slow.expect(Finished)).status == "stale"
    quick.say(answer(again))
    assert (await quick.expect(Replied)).status == "stored"
    slow.say(answer(msg))
    assert (await slow.expect(Replied)).status == "stale"


@pytest.mark.parametrize("d", ["nonsense", "0" * 32])
async def test_words_about_nothing_are_stale(studio: Studio, shop: Shop, d: str) -> None:
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello()
    tunnel.say(Done(d=d, lease=1, status="ok"), Extend(items=[Held(d=d, lease=1)]))
    assert (await tunnel.expect(Finished)).status == "stale"
    assert not (await tunnel.expect(Extended)).items[0].ok
    tunnel.say(Reply(r=new_id(), d=d, lease=1, conv=shop.lane, part=2**31 - 1, final=True, payload={}))
    assert (await tunnel.expect(Replied)).status == "stale"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"t":"ping","n":7}', CloseCode.PROTOCOL),
        ('{"t":"hello","n":2}', CloseCode.PROTOCOL),
        ('{"t":"!new","n":2}', CloseCode.MUST_UNDERSTAND),
        ("[" * 100_000, CloseCode.PROTOCOL),
        ('{"t":"partial","n":2,"text":"' + "x" * MAX_FRAME + '"}', CloseCode.TOO_LARGE),
    ],
)
async def test_a_frame_that_is_none_ends_the_connection(
    studio: Studio, shop: Shop, text: str, code: int
) -> None:
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello()
    tunnel.send(text)
    error = await tunnel.expect(Error)
    await tunnel.end()
    assert (error.code, error.fatal, tunnel.closed) == (code, True, code)


async def test_a_revoked_agent_is_cut_off(studio: Studio, shop: Shop) -> None:
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello()
    agent = await in_thread(Agent.objects.get)(connection__isnull=False)
    studio.bus.publish("agents", {"agent": agent.pk.hex, "revoked": True})
    await tunnel.end()
    assert tunnel.closed == CloseCode.REVOKED
    await studio.written()
    assert not await in_thread(Agent.objects.filter(connection__isnull=False).exists)()


async def test_a_nul_in_a_name_is_no_reason_to_fail(studio: Studio, shop: Shop) -> None:
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello(sdk="a\x00b")
    msg = await shop.message(tunnel)
    tunnel.say(Done(d=msg.d, lease=msg.lease, status="error", error="a\x00b"))
    assert (await tunnel.expect(Finished)).status == "stored"
    ended = await in_thread(Envelope.objects.get)(pk=UUID(hex=msg.d))
    assert ended.error == "a\N{REPLACEMENT CHARACTER}b"
