"""Looks for model servers where they usually listen, and asks each which models it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from .errors import AgentError
from .models import ModelClient, Ollama, OpenAICompatible
from .proxies import may_proxy

OLLAMA: Final = "http://127.0.0.1:11434"
# LM Studio, llama.cpp, vLLM, Jan, text-generation-webui
OTHERS: Final = tuple(f"http://127.0.0.1:{port}" for port in (1234, 8080, 8000, 1337, 5000))
_ASK_S: Final = 2.0
_NOT_FOR_CHAT: Final = ("embed", "minilm", "bge-", "rerank", "whisper")


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server that answered. `kind`: ollama, or openai for all that speak its API."""

    kind: str
    url: str
    models: tuple[str, ...]

    def client(self, name: str) -> ModelClient:
        if self.kind == "ollama":
            return Ollama(name, self.url)
        return OpenAICompatible(name, self.url, os.environ.get("AIMATRIX_MODEL_KEY", ""))


async def find(url: str = "") -> list[ModelServer]:
    """All servers that answer; only the one at `url` (or AIMATRIX_MODEL_URL) where it is named."""
    named = url or os.environ.get("AIMATRIX_MODEL_URL", "")
    if named:
        base, key = _base(named), os.environ.get("AIMATRIX_MODEL_KEY", "")
        server = await _ollama(base, key) or await _openai(base, key)
        return [server] if server else []
    # Strangers may listen on these ports: they are not shown the key.
    found = await asyncio.gather(_ollama(_ollama_host()), *(_openai(other) for other in OTHERS))
    return [server for server in found if server]


def choose(servers: Iterable[ModelServer], wanted: str) -> ModelClient | None:
    """The model named `wanted`; for "auto" the first that can chat, if any. Raises AgentError."""
    for server in servers:
        for name in server.models:
            chats = not any(word in name.lower() for word in _NOT_FOR_CHAT)
            if wanted in (name, name.removesuffix(":latest")) or (wanted == "auto" and chats):
                return server.client(name)
    if wanted == "auto":
        return None
    raise AgentError(
        "AMX-A62",
        f"No model server here has a model named {wanted!r}.",
        "List what is there with: aimatrix doctor. Ollama gets one with: ollama pull NAME",
    )


async def _ollama(url: str, key: str = "") -> ModelServer | None:
    data = await _ask(f"{url}/api/tags", key)
    if not isinstance(data.get("models"), list):
        return None
    return ModelServer("ollama", url, _names(data["models"], "name"))


async def _openai(url: str, key: str = "") -> ModelServer | None:
    data = await _ask(f"{url}/v1/models", key)
    if not isinstance(data.get("data"), list):
        return None
    return ModelServer("openai", url, _names(data["data"], "id"))


def _names(rows: list[Any], key: str) -> tuple[str, ...]:
    return tuple(str(row[key]) for row in rows if isinstance(row, dict) and row.get(key))


async def _ask(url: str, key: str) -> dict[str, Any]:
    """The JSON object that `url` answers, or an empty one: no answer here means only that nobody is there."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=_ASK_S, headers=headers, trust_env=may_proxy(url)) as client:
            data = (await client.get(url)).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _ollama_host() -> str:
    """OLLAMA_HOST, as Ollama reads it: a host, a port, or both, with or without a scheme."""
    host = os.environ.get("OLLAMA_HOST", "").strip()
    if not host:
        return OLLAMA
    parts = urlsplit(host if "://" in host else f"http://{host}")
    name = parts.hostname or "127.0.0.1"
    # 0.0.0.0 is where a server listens, not where a client calls.
    name = "127.0.0.1" if name == "0.0.0.0" else name  # noqa: S104
    return f"{parts.scheme}://{name}:{parts.port or 11434}"


def _base(url: str) -> str:
    return url.strip().rstrip("/").removesuffix("/v1")
