"""A Bot API server for tests, made from the Bot API's own specification: it refuses what Telegram refuses.

    with telegram_api(token, chats={42}) as telegram:
        ...TELEGRAM_API_URL=telegram.url...
        telegram.deliver(telegram.text_update(42, "hi"))
        telegram.wait_for("sendMessage", 1)

As a process of its own, for harnesses that count what was sent while they kill the sender:

    python -m tests.telegram_api --port 20443 --token 123:abc --log sent.jsonl

What no test has needed yet is answered 501 and says so: nothing is pretended.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import httpx

from deploy.servers import free_port
from tests.telegram_http import Answer, serving
from tests.telegram_spec import Method, Params, Refused, Specification, folder, specification
from tests.telegram_webhook import Webhook

TOKEN = "123456:TEST-token_of-a-bot-that-does-not-exist"
PATIENCE = 30.0  # seconds an update is repeated for; Telegram goes on for about a day


@dataclass(frozen=True)
class Call:
    """A call that was carried out. `at` is Unix time."""

    method: str
    params: Params
    at: float


@dataclass(frozen=True)
class Refusal:
    """A call that was not, and the answer it got."""

    method: str
    status: int
    description: str
    at: float


@dataclass
class Fault:
    """What befalls the next calls of a method: they are refused, or accepted and then not well answered."""

    method: str
    left: int
    refusal: Refused | None = None
    hold: float = 0.0  # seconds
    drop: bool = False


class TelegramApi:
    """One bot and the chats that know it. May be used from any thread."""

    def __init__(
        self, token: str, spec: Specification, chats: set[int] | None, port: int, log: Path | None
    ) -> None:
        self.token = token
        self.spec = spec
        self.chats = chats  # None: every chat has written to the bot before
        self.blocked: set[int] = set()
        self.sent: list[Call] = []
        self.refused: list[Refusal] = []
        self.webhook = Webhook()
        self.url = f"http://127.0.0.1:{port}"  # for TELEGRAM_API_URL
        self.base_url = f"{self.url}/bot"  # for python-telegram-bot
        self._log = log
        self._client = httpx.Client(timeout=10, trust_env=False)
        self._messages: dict[tuple[int, int], str] = {}
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._played: dict[str, Callable[[Params], object]] = {
            "getMe": self._get_me,
            "getUpdates": self._get_updates,
            "getWebhookInfo": self._get_webhook_info,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "sendMessage": self._send_message,
            "editMessageText": self._edit_message_text,
            "sendChatAction": self._send_chat_action,
        }

    def close(self) -> None:
        self._client.close()

    # What a test says beforehand

    def throttle(self, next_n: int, retry_after: int, method: str = "sendMessage") -> None:
        """Refuse the next calls with 429, as when there were too many."""
        too_many = Refused(429, f"Too Many Requests: retry after {retry_after}", retry_after=retry_after)
        self._faults.append(Fault(method, next_n, refusal=too_many))

    def fail(self, next_n: int, status: int, method: str = "sendMessage") -> None:
        """Answer the next calls with an error of Telegram's own, and do not carry them out."""
        self._faults.append(Fault(method, next_n, refusal=Refused(status, HTTPStatus(status).phrase)))

    def hang_after_accept(
        self, next_n: int, seconds: float, *, drop: bool = False, method: str = "sendMessage"
    ) -> None:
        """Carry the next calls out, but answer them late, or with `drop` never: the connection breaks."""
        self._faults.append(Fault(method, next_n, hold=seconds, drop=drop))

    # What a test asks afterwards

    def calls(self, method: str) -> list[Call]:
        return [call for call in self.sent if call.method == method]

    def texts(self, chat_id: int) -> list[str]:
        """Texts sent to a chat, in order."""
        return [
            call.params["text"] for call in self.calls("sendMessage") if call.params["chat_id"] == chat_id
        ]

    def wait_for(self, method: str, count: int, timeout: float = 10.0) -> list[Call]:
        """The calls of a method, as soon as there are `count`; AssertionError when it takes too long."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.calls(method)) >= count, timeout)
        calls = self.calls(method)
        assert enough, f"{len(calls)} × {method} after {timeout} s, not {count}; refused: {self.refused[-3:]}"
        return calls

    # Telegram's sending half

    def text_update(
        self, chat_id: int, text: str, *, update_id: int | None = None, name: str = "Ada"
    ) -> Params:
        """A person's message in a private chat, as Telegram tells of it."""
        number = next(self._ids)
        message = {
            "message_id": number,
            "date": int(time.time()),
            "chat": {"id": chat_id, "type": "private", "first_name": name},
            "from": {"id": chat_id, "is_bot": False, "first_name": name},
            "text": text,
        }
        return {"update_id": 100_000 + number if update_id is None else update_id, "message": message}

    def deliver(self, update: Params, *, patience: float = PATIENCE) -> list[int]:
        """Send an update to the webhook until it is answered 2xx, for `patience` seconds.

        The status of each try, 0 for no answer; no try at all when the bot did not ask for such updates.
        ValueError for what Telegram never sends. A chat's updates go one after another.
        """
        self.spec.check(["Update"], update)
        if not self.webhook.url:
            raise ValueError("The bot has no webhook: nothing can be delivered.")
        if not self.webhook.wants(update):
            return []
        chat = _chat_of(update)
        if self.chats is not None:
            self.chats.add(chat)
        return self.webhook.deliver(self._client, chat, update, patience=patience)

    # Telegram's receiving half

    def call(self, token: str, name: str, raw: Params) -> Answer:
        """Carry out one call. It is on record before it is answered."""
        try:
            if token != self.token:
                raise Refused(401, "Unauthorized")
            if not (method := self.spec.methods.get(name.lower())):
                raise Refused(404, "Not Found")
            params = method.read(raw)
            fault = self._fault(method.name)
            if fault.refusal:
                raise fault.refusal
            result = self._carry_out(method, params)
        except Refused as refusal:
            body = {"ok": False, "error_code": refusal.status, "description": refusal.description}
            self._record(Refusal(name, refusal.status, refusal.description, time.time()))
            return Answer(refusal.status, body | refusal.beside)
        self.spec.check(method.returns, result)  # this server may not drift from the specification either
        self._record(Call(method.name, params, time.time()))
        return Answer(200, {"ok": True, "result": result}, fault.hold, fault.drop)

    def _fault(self, method: str) -> Fault:
        for fault in self._faults:
            if fault.method == method and fault.left:
                fault.left -= 1
                return fault
        return Fault(method, 0)

    def _record(self, what: Call | Refusal) -> None:
        with self._changed:
            if isinstance(what, Refusal):
                self.refused.append(what)
                return
            if self._log:
                with self._log.open("a") as log:
                    log.write(json.dumps(asdict(what)) + "\n")
            self.sent.append(what)
            self._changed.notify_all()

    def _carry_out(self, method: Method, params: Params) -> object:
        if "chat_id" in params:
            self._check_chat(params["chat_id"])
        if play := self._played.get(method.name):
            return play(params)
        if method.returns == ["Boolean"]:
            return True
        raise Refused(501, f"Not Implemented: no test has needed {method.name} yet")

    def _check_chat(self, chat_id: int | str) -> None:
        if not isinstance(chat_id, int) or (self.chats is not None and chat_id not in self.chats):
            raise Refused(400, "Bad Request: chat not found")
        if chat_id in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")

    def _get_me(self, _params: Params) -> Params:
        bot_id = int(self.token.split(":")[0])
        return {"id": bot_id, "is_bot": True, "first_name": "A bot under test", "username": "under_test_bot"}

    def _get_updates(self, _params: Params) -> list[Params]:
        if self.webhook.url:
            what = "can't use getUpdates method while webhook is active"
            raise Refused(409, f"Conflict: {what}; use deleteWebhook to delete the webhook first")
        return []

    def _set_webhook(self, params: Params) -> bool:
        webhook = Webhook(
            url=params["url"],
            secret_token=params.get("secret_token", ""),
            max_connections=params.get("max_connections", 40),
            allowed_updates=params.get("allowed_updates", self.webhook.allowed_updates),
        )
        if webhook.url:
            webhook.check()
        self.webhook = webhook
        return True

    def _delete_webhook(self, _params: Params) -> bool:
        return self._set_webhook({"url": ""})

    def _get_webhook_info(self, _params: Params) -> Params:
        hook = self.webhook
        info: Params = {
            "url": hook.url,
            "has_custom_certificate": False,
            "pending_update_count": hook.pending,
        }
        if hook.url:
            info["max_connections"] = hook.max_connections
        if hook.allowed_updates:
            info["allowed_updates"] = hook.allowed_updates
        if hook.last_error:
            info |= {"last_error_message": hook.last_error, "last_error_date": hook.last_error_date}
        return info

    def _send_message(self, params: Params) -> Params:
        text = _plain_text(params)
        return self._message(params["chat_id"], next(self._ids), text)

    def _edit_message_text(self, params: Params) -> Params:
        text = _plain_text(params)
        chat_id, message_id = params.get("chat_id", 0), params.get("message_id", 0)
        before = self._messages.get((chat_id, message_id))
        if before is None:
            raise Refused(400, "Bad Request: message to edit not found")
        if before == text:
            same = "specified new message content and reply markup are exactly the same as a current content"
            raise Refused(
                400, f"Bad Request: message is not modified: {same} and reply markup of the message"
            )
        return self._message(chat_id, message_id, text) | {"edit_date": int(time.time())}

    def _message(self, chat_id: int, message_id: int, text: str) -> Params:
        self._messages[chat_id, message_id] = text
        chat = {"id": chat_id, "type": "private", "first_name": "Ada"}
        sent = {"message_id": message_id, "date": int(time.time()), "chat": chat, "text": text}
        return sent | {"from": self._get_me({})}

    def _send_chat_action(self, params: Params) -> bool:
        # The words stand in the specification only as prose: "typing for text messages, upload_photo for …".
        prose = self.spec.methods["sendchataction"].fields["action"]["description"]
        if params["action"] not in re.findall(r"\b(?:typing|[a-z]+(?:_[a-z]+)+)\b", prose):
            raise Refused(400, "Bad Request: wrong parameter action in request")
        return True


def _plain_text(params: Params) -> str:
    """The text as Telegram keeps it: without the white space around it."""
    if params.get("parse_mode"):
        raise Refused(501, "Not Implemented: no test has needed formatted text yet")
    text = str(params.get("text", "")).strip()
    if not text:
        raise Refused(400, "Bad Request: message text is empty")
    return text


def _chat_of(update: Params) -> int:
    """Which queue an update waits in: its chat's, else its sender's."""
    for value in update.values():
        if isinstance(value, dict):
            return int((value.get("chat") or value.get("from") or {"id": 0})["id"])
    return 0


@contextmanager
def telegram_api(
    token: str = TOKEN,
    spec: Path | None = None,
    *,
    chats: set[int] | Literal["any"] = "any",
    port: int = 0,
    log: Path | None = None,
) -> Iterator[TelegramApi]:
    """A Bot API server in a thread of this process. `chats` are those that have written to the bot before.

    `spec` is the specification's folder. `log` gets a JSON line for each call that was carried out, before
    it is answered.
    """
    port = port or free_port()
    api = TelegramApi(
        token, specification(spec or folder()), None if chats == "any" else set(chats), port, log
    )
    try:
        with serving(api.call, port):
            yield api
    finally:
        api.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A Bot API server for tests; ends at Ctrl-C or SIGTERM.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--log", type=Path, help="a JSON line for each call that was carried out")
    parser.add_argument("--chat", type=int, action="append", help="a chat that knows the bot (default: any)")
    options = parser.parse_args()
    chats: set[int] | Literal["any"] = set(options.chat) if options.chat else "any"
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    with telegram_api(options.token, chats=chats, port=options.port, log=options.log) as api:
        print(api.url, flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
