"""Language models on this computer or network: Ollama's own API, and the one that most other servers share.

Ollama (https://docs.ollama.com/api/chat): POST /api/chat, one JSON object a line, the last with "done": true.
LM Studio, llama.cpp, vLLM, Jan …: POST /v1/chat/completions, server-sent events, the last is [DONE].
A stream that ends without its last word was cut, and is an error: half an answer is none.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Protocol

import httpx

from .errors import AgentError
from .prompt import Messages
from .proxies import may_proxy

CONTEXT: Final = 8192  # tokens; Ollama's own default differs by version and by machine
_TIMEOUT: Final = httpx.Timeout(120.0, connect=5.0)  # a first answer may wait for the model to load


class ModelError(AgentError):
    """The model gave no (whole) answer."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            "AMX-A61", f"The model {name} failed: {reason}", "See its server's log; aimatrix doctor asks it."
        )


class ModelClient(Protocol):
    """A model that answers. `stream` raises ModelError, also in the middle."""

    name: str
    url: str

    def stream(self, messages: Messages) -> AsyncGenerator[str, None]: ...

    async def aclose(self) -> None: ...


class _Http:
    """What both kinds of server share: one client, lines of a streamed answer, and errors in our words."""

    def __init__(self, name: str, url: str, key: str = "") -> None:
        self.name = name
        self.url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=may_proxy(url)
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _lines(self, path: str, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        try:
            async with self._client.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    raise ModelError(self.name, f"{self.url} answered {response.status_code}")
                async for line in response.aiter_lines():
                    yield line
        except httpx.HTTPError as error:
            raise ModelError(self.name, str(error) or type(error).__name__) from error

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            data = json.loads(line)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ModelError(self.name, "its answer is not JSON")
        if "error" in data:
            raise ModelError(self.name, str(data["error"])[:200])
        return data


class Ollama(_Http):
    async def stream(self, messages: Messages) -> AsyncGenerator[str, None]:
        options = {"num_ctx": CONTEXT, "temperature": 0}
        body = {"model": self.name, "messages": messages, "stream": True, "options": options}
        async with aclosing(self._lines("/api/chat", body)) as lines:
            async for line in lines:
                data = self._parsed(line)
                if text := (data.get("message") or {}).get("content"):
                    yield text
                if data.get("done"):
                    return
        raise ModelError(self.name, "its answer was cut off")


class OpenAICompatible(_Http):
    async def stream(self, messages: Messages) -> AsyncGenerator[str, None]:
        body = {"model": self.name, "messages": messages, "stream": True, "temperature": 0}
        async with aclosing(self._lines("/v1/chat/completions", body)) as lines:
            async for line in lines:
                event = line.removeprefix("data:").strip()
                if not line.startswith("data:"):
                    continue
                if event == "[DONE]":
                    return
                for choice in self._parsed(event).get("choices") or []:
                    if text := (choice.get("delta") or {}).get("content"):
                        yield text
        raise ModelError(self.name, "its answer was cut off")
