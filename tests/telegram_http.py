"""The HTTP side of the Bot API server for tests: requests into calls, answers out, late or not at all."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

Params = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What goes back. `hold` is in seconds; with `drop` the connection breaks instead."""

    status: int
    body: dict[str, Any]
    hold: float = 0.0
    drop: bool = False


Call = Callable[[str, str, Params], Answer]  # token, method, parameters


class Door:
    """The ASGI application: `/bot<token>/<method>`, GET or POST, parameters wherever Telegram takes them."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.server: uvicorn.Server | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self._answer(scope, await _body(receive))
        if answer.hold:
            await asyncio.sleep(answer.hold)
        if answer.drop:
            self._cut(tuple(scope["client"]))
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer.body).encode()})

    def _answer(self, scope: Any, body: bytes) -> Answer:
        target = re.fullmatch(r"/bot([^/]+)/([^/]+)/?", scope["path"])
        if not target:
            return Answer(404, {"ok": False, "error_code": 404, "description": "Not Found"})
        content_type = dict(scope["headers"]).get(b"content-type", b"").decode()
        params = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        try:
            params |= parameters(content_type, body)
        except ValueError as error:
            return Answer(400, {"ok": False, "error_code": 400, "description": f"Bad Request: {error}"})
        return self.call(target[1], target[2], params)

    def _cut(self, client: tuple[str, int]) -> None:
        assert self.server
        for connection in self.server.server_state.connections:
            if getattr(connection, "client", None) == client:
                connection.transport.abort()


async def _body(receive: Any) -> bytes:
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break
    return body


def parameters(content_type: str, body: bytes) -> Params:
    """Parameters of a JSON body or a form; ValueError when it is not what it says."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError("a JSON body must be an object")
        return found
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    if kind == "multipart/form-data":
        form = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        if not form.is_multipart():
            raise ValueError("a form without parts")
        parts = [part for part in form.get_payload() if not isinstance(part, str)]
        return {
            str(part.get_param("name", header="content-disposition")): _text(part.get_payload(decode=True))
            for part in parts
        }
    if body:
        raise ValueError(f"{kind or 'a body without a type'} is not read")
    return {}


def _text(payload: object) -> str:
    return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


@contextmanager
def serving(call: Call, port: int) -> Iterator[None]:
    """Answers at 127.0.0.1:`port` from a thread of its own."""
    door = Door(call)
    config = uvicorn.Config(
        door,
        host="127.0.0.1",
        port=port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = door.server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name=f"http-{port}", daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), f"no server could be started at port {port}"
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(10)
