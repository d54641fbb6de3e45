"""Turns a one-time code into this computer's token: `POST /tunnel/pair`."""

from __future__ import annotations

import os
import platform
from typing import Any

import httpx
import msgspec

from . import __version__
from .config import Config, Home, Settings, studio_url
from .errors import AgentError
from .proxies import may_proxy


class _Paired(msgspec.Struct):
    agent_id: str
    token: str
    workspace: str = ""


def pair(code: str, studio: str, name: str, home: Home) -> Config:
    """Pairs and stores; what else the owner had set stays. Raises AgentError."""
    url = studio_url(studio)
    paired = _read(_post(url, {"code": code.strip(), "name": name, "machine": machine()}))
    config = Config(url, paired.agent_id, name, paired.workspace, _settings(home))
    home.save(config, paired.token)
    return config


def machine() -> dict[str, str | int]:
    """What Studio shows of this computer: enough to tell two apart, no more."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cores": os.cpu_count() or 1,
        "sdk": __version__,
    }


def _post(studio: str, body: dict[str, Any]) -> httpx.Response:
    try:
        with httpx.Client(timeout=15.0, trust_env=may_proxy(studio)) as client:
            return client.post(f"{studio}/tunnel/pair", json=body)
    except httpx.HTTPError as error:
        raise AgentError(
            "AMX-A10",
            f"{studio} cannot be reached: {error}",
            "Check the address in your browser, and this computer's connection.",
        ) from error


def _read(response: httpx.Response) -> _Paired:
    if response.status_code == 201:
        try:
            return msgspec.json.decode(response.content, type=_Paired)
        except msgspec.DecodeError as error:
            raise _stranger(response) from error
    try:
        problem = response.json()
        title = problem["title"]
    except (ValueError, KeyError, TypeError):
        raise _stranger(response) from None
    next_step = problem.get("next_step") or "Ask your Studio for a new pairing code."
    raise AgentError(str(problem.get("code") or "AMX-A11"), str(title), str(next_step))


def _stranger(response: httpx.Response) -> AgentError:
    return AgentError(
        "AMX-A12",
        f"{response.url.host} does not answer like a Studio ({response.status_code}).",
        "Check the address: it is the one your browser shows for the console, without a path.",
    )


def _settings(home: Home) -> Settings:
    try:
        return home.config().settings
    except AgentError:
        return Settings()  # none yet, or not readable: this writes it afresh
