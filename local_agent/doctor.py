"""`aimatrix doctor`: looks at each thing that must be right, and says what to do where it is not."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import httpx

from .config import Config, Home, Settings
from .documents import Documents
from .errors import AgentError
from .handlers import load
from .journal import Journal
from .model_servers import find
from .proxies import is_loopback, may_proxy
from .runner import Handle
from .serve import documents_folder


@dataclass(frozen=True, slots=True)
class Finding:
    """`next_step` is empty where nothing has to be done."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    next_step: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def examine(home: Home) -> Iterator[Finding]:
    """One finding after the other, as they are made."""
    config = _config(home)
    settings = Settings()
    if isinstance(config, Finding):
        yield config
    else:
        settings = config.settings
        yield Finding("paired", "ok", f"{config.name} at {config.studio}")
        yield _permissions(home)
        yield from _studio(config, home)
        yield _journal(home)
    handle = _handler(settings)
    if isinstance(handle, Finding):
        yield handle
    yield _documents(settings, None if isinstance(handle, Finding) else handle)
    yield _models(settings)


def _config(home: Home) -> Config | Finding:
    try:
        home.token()
        return home.config()
    except AgentError as error:
        return _failed("paired", error)


def _permissions(home: Home) -> Finding:
    mode = stat.S_IMODE(home.token_file.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        return Finding(
            "token file", "fail", f"others can read {home.token_file}", f"chmod 600 {home.token_file}"
        )
    return Finding("token file", "ok", f"{home.token_file}, for you alone")


def _studio(config: Config, home: Home) -> Iterator[Finding]:
    if config.studio.startswith("http://") and not is_loopback(config.studio):
        yield Finding("encryption", "warn", f"none to {config.studio}", "Pair again with its https address.")
    with httpx.Client(timeout=10.0, trust_env=may_proxy(config.studio)) as client:
        yield _reachable(config, client)
        yield _accepted(config, home, client)


def _reachable(config: Config, client: httpx.Client) -> Finding:
    try:
        status = client.get(f"{config.studio}/healthz").status_code
    except httpx.HTTPError as error:
        return Finding(
            "studio", "fail", f"not reached: {error}", "Is it running, and is this computer online?"
        )
    if status != 200:
        return Finding("studio", "fail", f"/healthz answers {status}", "Look at Studio's own log.")
    return Finding("studio", "ok", config.studio)


def _accepted(config: Config, home: Home, client: httpx.Client) -> Finding:
    # An empty flush asks for nothing and disturbs no tunnel that is open.
    try:
        headers = {"Authorization": f"Bearer {home.token()}"}
        asked = client.post(f"{config.studio}/tunnel/replies", json={"replies": []}, headers=headers)
    except httpx.HTTPError as error:
        return Finding("token", "warn", f"not asked: {error}", "Look again when Studio is reached.")
    if asked.status_code in (401, 403):
        return Finding(
            "token", "fail", "Studio does not accept it", "Pair again: aimatrix pair CODE --studio URL"
        )
    if asked.status_code != 200:
        return Finding("token", "warn", f"Studio answers {asked.status_code}", "Try again in a minute.")
    return Finding("token", "ok", "accepted")


def _handler(settings: Settings) -> Handle | Finding | None:
    if not settings.handler:
        return None
    try:
        return load(Path(settings.handler))
    except AgentError as error:
        return _failed("handler", error)


def _documents(settings: Settings, handle: Handle | None) -> Finding:
    try:
        folder = documents_folder(settings, handle)
    except AgentError as error:
        return _failed("documents", error)
    if folder is None:
        return Finding(
            "documents", "warn", "none", "Name a folder of .md or .txt files: serve --documents DIR"
        )
    documents = Documents(folder)
    try:
        files, passages = documents.files, len(documents)
    finally:
        documents.close()
    if not passages:
        return Finding(
            "documents", "warn", f"no .md or .txt files in {folder}", "Put what customers ask for there."
        )
    return Finding("documents", "ok", f"{folder}: {files} files, {passages} passages")


def _models(settings: Settings) -> Finding:
    servers = asyncio.run(find(settings.model_url))
    if not servers:
        return Finding("models", "ok", "no model server found; the documents answer by themselves")
    told = "; ".join(f"{one.kind} at {one.url}: {', '.join(one.models) or 'no model'}" for one in servers)
    return Finding("models", "ok", told)


def _journal(home: Home) -> Finding:
    try:
        Journal(home.journal_file).close()
    except AgentError as error:
        if error.code == "AMX-A40":
            return Finding("journal", "ok", "in use by aimatrix serve")
        return _failed("journal", error)
    return Finding("journal", "ok", str(home.journal_file))


def _failed(check: str, error: AgentError) -> Finding:
    return Finding(check, "fail", f"{error.message} ({error.code})", error.next_step)
