"""A text in Telegram, all the way to the agent and back into its chat. The provider refuses what Telegram refuses."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.flows.conftest import MakeAgent
from tests.processes import Database, Studio, answered, until
from tests.telegram_api import TOKEN, TelegramApi

STAGES = ["Received", "Stored", "Pushed", "Acknowledged", "Replied", "Sent"]


@pytest.fixture
def channel(api: httpx.Client, telegram: TelegramApi) -> dict[str, Any]:
    """A connected Telegram channel, made over REST."""
    wanted = {"kind": "telegram", "name": "Shop bot", "config": {"bot_token": TOKEN}, "connect": True}
    made: dict[str, Any] = answered(api.post("/channels", json=wanted), 201)
    assert (made["state"], made["findings"]) == ("active", [])
    assert telegram.webhook.url == made["webhook_url"]
    return made


def thread(api: httpx.Client, conversation: int = 0) -> list[dict[str, Any]]:
    """The messages of the workspace's only conversation, or of its n-th last active one."""
    found = answered(api.get("/conversations"))["results"]
    if len(found) <= conversation:
        return []
    messages: list[dict[str, Any]] = answered(
        api.get(f"/conversations/{found[conversation]['id']}/messages")
    )["results"]
    return messages


def settled(api: httpx.Client, conversation: int = 0, status: str = "sent") -> list[dict[str, Any]]:
    """The thread, once its last message is an answer with that status."""

    def now() -> list[dict[str, Any]]:
        messages = thread(api, conversation)
        return messages if messages and messages[-1]["status"] == status else []

    found: list[dict[str, Any]] = until(now)
    return found


@pytest.mark.sqlite
def test_a_text_is_answered_in_its_chat(
    studio: Studio,
    api: httpx.Client,
    telegram: TelegramApi,
    channel: dict[str, Any],
    make_agent: MakeAgent,
    database: Database,
) -> None:
    make_agent(studio)
    text = "¿Is the <b>blue</b> one in stock? 🙂 \u05e9\u05dc\u05d5\u05dd"
    assert telegram.deliver(telegram.text_update(42, text)) == [200]
    (call,) = telegram.wait_for("sendMessage", 1)
    assert (call.params["chat_id"], call.params["text"]) == (42, f"echo {text}")

    question, answer = settled(api)
    assert (question["direction"], question["status"], question["text"]) == ("in", "received", text)
    assert (answer["direction"], answer["text"], answer["answers"]) == ("out", f"echo {text}", question["id"])
    (part,) = answer["parts"]
    assert (part["state"], part["attempts"], part["error"]) == ("sent", 1, "")
    assert part["external_id"].startswith("42:")

    done = [stage for stage in question["timeline"] if stage["progress"] == "done"]
    assert [stage["name"] for stage in done] == STAGES
    times = [stage["at"] for stage in done]
    assert times == sorted(times)
    assert all(stage["gap_ms"] >= 0 for stage in done[1:])

    assert database.rows("SELECT pending, done, done_seq FROM agent_link_lane") == [(0, 1, 1)]
    assert database.rows("SELECT state, error FROM agent_link_envelope") == [(3, "")]
    assert database.rows("SELECT send_pending FROM gateway_conversation") == [(0,)]
    assert (len(telegram.calls("sendMessage")), telegram.refused) == (1, [])


def test_a_chat_is_answered_in_its_order(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    make_agent(studio)
    for number in range(20):
        telegram.deliver(telegram.text_update(42, str(number)))
    telegram.wait_for("sendMessage", 20)
    assert telegram.texts(42) == [f"echo {number}" for number in range(20)]


def test_an_update_that_comes_again_is_answered_once(
    studio: Studio,
    api: httpx.Client,
    telegram: TelegramApi,
    channel: dict[str, Any],
    make_agent: MakeAgent,
    database: Database,
) -> None:
    make_agent(studio)
    update = telegram.text_update(42, "hi")
    assert [telegram.deliver(update) for _ in range(3)] == [[200]] * 3
    settled(api)
    telegram.deliver(telegram.text_update(42, "and now"))
    telegram.wait_for("sendMessage", 2)
    assert telegram.texts(42) == ["echo hi", "echo and now"]
    assert database.value("SELECT count(*) FROM gateway_inboundevent") == 2


def test_a_long_answer_is_sent_in_parts_that_rejoin(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    make_agent(studio, 'async def handle(message, context):\n    return "word " * 2_000\n')
    telegram.deliver(telegram.text_update(42, "tell me more"))
    (_, answer) = settled(api)
    texts = telegram.texts(42)
    assert len(texts) == len(answer["parts"]) == 3
    assert all(len(text) <= 4096 for text in texts)
    assert " ".join(text.strip() for text in texts) == ("word " * 2_000).strip()


def test_when_telegram_asks_for_two_seconds_it_gets_them_and_then_one_call(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    make_agent(studio)
    telegram.throttle(1, retry_after=2)
    telegram.deliver(telegram.text_update(42, "hi"))
    refusal = until(lambda: telegram.refused)[0]
    telegram.deliver(telegram.text_update(7, "I wait for nobody"))
    first, second = telegram.wait_for("sendMessage", 2)
    assert (first.params["chat_id"], second.params["chat_id"]) == (7, 42)
    assert first.at - refusal.at < 1.5, "another chat had to wait"
    assert 2.0 <= second.at - refusal.at < 5.0
    answer = settled(api, conversation=1)[-1]
    assert answer["parts"][0]["attempts"] == 2
    time.sleep(0.5)
    assert len(telegram.calls("sendMessage")) == 2
    assert len(telegram.refused) == 1


def test_a_person_who_blocked_the_bot_shows_as_not_sent(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    make_agent(studio)
    telegram.blocked.add(42)
    telegram.deliver(telegram.text_update(42, "hi"))
    question, answer = settled(api, status="failed")
    assert answer["parts"][0]["state"] == "failed"
    trouble = next(stage for stage in question["timeline"] if stage["progress"] == "trouble")
    assert (trouble["name"], trouble["code"]) == ("Sent", "AMX-2410")
    assert trouble["next_step"]
    assert [refusal.status for refusal in telegram.refused] == [403], "it is not tried again"
    telegram.blocked.clear()
    telegram.deliver(telegram.text_update(42, "again"))
    telegram.wait_for("sendMessage", 1)
    assert telegram.texts(42) == ["echo again"], "the conversation goes on"


def test_an_answer_lost_on_its_way_shows_as_unknown_and_is_not_sent_twice(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    make_agent(studio)
    telegram.hang_after_accept(1, 0, drop=True)
    telegram.deliver(telegram.text_update(42, "hi"))
    question, _ = settled(api, status="unknown")
    trouble = next(stage for stage in question["timeline"] if stage["progress"] == "trouble")
    assert (trouble["name"], trouble["code"]) == ("Sent", "AMX-2504")
    telegram.deliver(telegram.text_update(42, "still there?"))
    telegram.wait_for("sendMessage", 2)
    assert telegram.texts(42) == ["echo hi", "echo still there?"]


def test_a_wrong_secret_and_a_channel_that_is_not_there_get_the_same_answer(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], database: Database
) -> None:
    update = telegram.text_update(42, "canary-of-a-text")
    there, secret = channel["webhook_url"], channel["webhook_secret"]
    refusals = [
        httpx.post(url, json=update, headers={"X-Telegram-Bot-Api-Secret-Token": given} if given else {})
        for url, given in [
            (there, ""),
            (there, secret[:-1]),
            (there, secret + "x"),
            (there[:-1] + ("0" if there[-1] != "0" else "1"), secret),
            (f"{studio.url}/webhooks/telegram/nothing", secret),
        ]
    ]
    assert {answer.status_code for answer in refusals} == {403}
    assert len({answer.text for answer in refusals}) == 1
    assert "canary" not in refusals[0].text
    for table in ("gateway_inboundevent", "gateway_message", "gateway_contact", "agent_link_envelope"):
        assert database.value(f"SELECT count(*) FROM {table}") == 0


def test_what_came_while_every_agent_was_away_is_answered_when_one_comes(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, channel: dict[str, Any], make_agent: MakeAgent
) -> None:
    for number in range(3):
        telegram.deliver(telegram.text_update(42, str(number)))
    waiting = thread(api)[0]["timeline"][2]
    assert (waiting["name"], waiting["progress"]) == ("Pushed", "pending")
    make_agent(studio)
    telegram.wait_for("sendMessage", 3)
    calls = telegram.calls("sendMessage")
    assert telegram.texts(42) == ["echo 0", "echo 1", "echo 2"]
    assert all(before.at <= after.at for before, after in pairwise(calls))
