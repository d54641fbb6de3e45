"""What the doors ahead of Django share: reading a small body in time, answering JSON and problems (RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

Scope = dict[str, Any]


class Problem(Exception):
    """A request that is not granted. `counts`: it speaks against the caller's address."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        next_step: str = "",
        counts: bool = False,
        retry_after: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status, self.counts, self.retry_after = status, counts, retry_after
        self.body = {"status": status, "code": code, "title": title}
        if next_step:
            self.body["next_step"] = next_step
        self.body.update(extra or {})

    async def send(self, send: Any) -> None:
        await answer(send, self.status, self.body, self.retry_after)

    async def deny(self, scope: Scope, send: Any) -> None:
        """Answers a WebSocket upgrade with this problem instead of accepting it."""
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 4501 if self.status in {401, 403} else 4429})
            return

        async def as_denial(message: dict[str, Any]) -> None:
            await send({**message, "type": message["type"].replace("http", "websocket.http")})

        await answer(as_denial, self.status, self.body, self.retry_after)


def headers_of(scope: Scope) -> dict[str, str]:
    """Header names in lower case, as ASGI gives them; of a repeated header the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _declares_at_most(most: int, scope: Scope) -> bool:
    """False also for a length that is no number; none at all is for whoever counts the pieces."""
    declared = headers_of(scope).get("content-length", "0")
    return declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) <= most


async def read_body(scope: Scope, receive: Any, most: int, timeout: float) -> bytes:  # noqa: ASYNC109
    """At most `most` bytes within `timeout` seconds, or Problem 413 or 408; nothing larger is ever held."""
    if not _declares_at_most(most, scope):
        raise Problem(413, "AMX-1413", f"the body may have {most} bytes")
    try:
        async with asyncio.timeout(timeout):
            return await _read(receive, most)
    except TimeoutError:
        raise Problem(408, "AMX-1408", "the body did not arrive in time", counts=True) from None


async def capped(app: Any, scope: Scope, receive: Any, send: Any, most: int) -> None:
    """Runs an ASGI application that reads bodies without a limit; of one larger than `most` bytes it sees the end."""
    too_large = Problem(413, "AMX-1413", f"the body may have {most} bytes")
    if not _declares_at_most(most, scope):
        await too_large.send(send)
        return
    size, over = 0, False

    async def counted() -> Any:
        nonlocal size, over
        message = await receive()
        size += len(message.get("body", b""))
        if size > most and not over:
            over = True
            await too_large.send(send)
        return {"type": "http.disconnect"} if over else message

    async def unless_over(message: Any) -> None:
        if not over:
            await send(message)

    await app(scope, counted, unless_over)


async def _read(receive: Any, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "AMX-1400", "the caller hung up")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise Problem(413, "AMX-1413", f"the body may have {most} bytes")
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def answer(send: Any, status: int, body: Any, retry_after: float | None = None) -> None:
    """A JSON answer; problem+json where it is an error."""
    content = msgspec.json.encode(body)
    headers = [
        (b"content-type", b"application/json" if status < 400 else b"application/problem+json"),
        (b"content-length", b"%d" % len(content)),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(retry_after + 0.5))))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
