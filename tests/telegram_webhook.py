"""Telegram's sending half for tests: updates go to a bot's webhook, and go again until it takes them."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.telegram_spec import Refused

SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
PORTS = {80, 88, 443, 8443}
LOCAL = {"127.0.0.1", "localhost", "::1"}  # a Bot API server of one's own also takes http, and any port
ONLY_WHEN_ASKED = {"chat_member", "message_reaction", "message_reaction_count"}
SLOWEST_REPEAT = 1.0  # seconds between two tries; Telegram's grow much longer


@dataclass
class Webhook:
    """What setWebhook was told, and how deliveries fare."""

    url: str = ""
    secret_token: str = ""
    max_connections: int = 40
    allowed_updates: list[str] = field(default_factory=list)
    pending: int = 0
    last_error: str = ""
    last_error_date: int = 0

    def __post_init__(self) -> None:
        self._connections = threading.Semaphore(min(max(self.max_connections, 1), 100))
        self._queues: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._counting = threading.Lock()

    def check(self) -> None:
        """Refused when Telegram would not take this address or secret."""
        parts = urlsplit(self.url)
        local = parts.hostname in LOCAL
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            raise Refused(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not local and (parts.port or 443) not in PORTS:
            only = "Webhook can be set up only on ports 80, 88, 443 or 8443"
            raise Refused(400, f"Bad Request: bad webhook: {only}")
        if self.secret_token and not SECRET.fullmatch(self.secret_token):
            raise Refused(400, "Bad Request: secret token contains unallowed characters")

    def wants(self, update: dict[str, Any]) -> bool:
        [kind] = update.keys() - {"update_id"}
        return kind in self.allowed_updates if self.allowed_updates else kind not in ONLY_WHEN_ASKED

    def deliver(
        self, client: httpx.Client, queue: int, update: dict[str, Any], *, patience: float
    ) -> list[int]:
        """The status of each try, 0 for no answer. One at a time per queue, `max_connections` in all."""
        with self._counting:
            self.pending += 1
        try:
            with self._queues[queue], self._connections:
                return self._repeat(client, update, patience)
        finally:
            with self._counting:
                self.pending -= 1

    def _repeat(self, client: httpx.Client, update: dict[str, Any], patience: float) -> list[int]:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.secret_token} if self.secret_token else {}
        statuses: list[int] = []
        give_up = time.monotonic() + patience
        growing = 0.05
        while True:
            pause = growing
            try:
                answer = client.post(self.url, json=update, headers=headers)
                statuses.append(answer.status_code)
                if answer.is_success:
                    return statuses
                self.last_error = (
                    f"Wrong response from the webhook: {answer.status_code} {answer.reason_phrase}"
                )
                pause = min(float(answer.headers.get("Retry-After", pause)), SLOWEST_REPEAT)
            except httpx.TransportError as error:
                statuses.append(0)
                self.last_error = str(error) or type(error).__name__
            self.last_error_date = int(time.time())
            if time.monotonic() + pause > give_up:
                return statuses
            time.sleep(pause)
            growing = min(growing * 2, SLOWEST_REPEAT)
