"""Bodies for Django are limited before Django reads them."""

from __future__ import annotations

from typing import Any

import pytest

from agent_link.http import capped

MOST = 1000


async def greedy(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads to the end, then answers how much it got."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def status(chunks: list[bytes], *headers: tuple[bytes, bytes]) -> tuple[int, int]:
    """What the caller is answered, and how many chunks were read."""
    sent: list[dict[str, Any]] = []
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": chunks[read - 1], "more_body": read < len(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await capped(greedy, {"type": "http", "headers": list(headers)}, receive, send, MOST)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], read


@pytest.mark.parametrize(
    ("chunks", "headers", "expected"),
    [
        ([b"x" * 1000], [(b"content-length", b"1000")], (200, 1)),
        ([b"x" * 1001], [(b"content-length", b"1001")], (413, 0)),  # declared: nothing is read
        ([b"x" * 600] * 9, [], (413, 2)),  # chunked: read until it is too much
        ([b"x"], [(b"content-length", b"many")], (413, 0)),
    ],
)
async def test_a_body_is_read_to_its_limit_and_no_further(
    chunks: list[bytes], headers: list[tuple[bytes, bytes]], expected: tuple[int, int]
) -> None:
    assert await status(chunks, *headers) == expected
