"""Where the agent keeps what it knows of itself: one folder, a TOML file, and the token in a file of its own.

~/.aimatrix/            AIMATRIX_HOME names another
    config.toml         the Studio, this agent's name, how to answer
    token               the agent's key to Studio, readable by its owner only
    journal.db          messages and replies that are not settled yet
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import AgentError


@dataclass(slots=True)
class Settings:
    """The table `[agent]`; each is also an option of `aimatrix serve`."""

    documents: str = ""  # a folder of .md and .txt files
    handler: str = ""  # a Python file
    model: str = "auto"  # a model's name, auto, or none
    model_url: str = ""  # where the model server listens; empty: look in the usual places
    credits: int = 4  # messages answered at the same time
    timeout_s: float = 120.0  # the longest a handler may take
    max_backoff_s: float = 60.0  # the longest wait before dialing again


@dataclass(slots=True)
class Config:
    """Who we are to which Studio."""

    studio: str
    agent_id: str
    name: str
    workspace: str = ""
    settings: Settings = field(default_factory=Settings)

    @property
    def tunnel_url(self) -> str:
        """Always on the host that the owner typed, so that nobody else can be sent the token."""
        return f"{self.studio.replace('http', 'ws', 1)}/tunnel"


class Home:
    """The agent's folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get("AIMATRIX_HOME") or Path.home() / ".aimatrix")
        self.config_file = self.path / "config.toml"
        self.token_file = self.path / "token"
        self.journal_file = self.path / "journal.db"

    def save(self, config: Config, token: str) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self.config_file, _toml(config), 0o600)
            _write(self.token_file, token + "\n", 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def config(self) -> Config:
        try:
            data = tomllib.loads(self.config_file.read_text("utf-8"))
        except FileNotFoundError:
            raise _not_paired(self.path) from None
        except (OSError, ValueError) as error:
            raise _bad_config(self.config_file, str(error)) from error
        return _config(self.config_file, data)

    def token(self) -> str:
        try:
            token = self.token_file.read_text("utf-8").strip()
        except (OSError, ValueError):
            token = ""
        if not token:
            raise _not_paired(self.path)
        return token


def studio_url(text: str) -> str:
    """The Studio's address without a path; raises AgentError for anything else."""
    parts = urlsplit(text.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise AgentError(
            "AMX-A04",
            f"{text!r} is not the address of a Studio.",
            "Give it as https://studio.example.com, the way your browser shows it.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _config(path: Path, data: dict[str, Any]) -> Config:
    try:
        settings = Settings(**_typed(data.pop("agent", {})))
        config = Config(settings=settings, **data)
        config.studio = studio_url(config.studio)
    except (TypeError, AttributeError) as error:
        # dataclasses name the field that is missing, unknown or wrong
        raise _bad_config(path, str(error).replace("__init__()", "it")) from error
    return config


def _typed(table: dict[str, Any]) -> dict[str, Any]:
    for one in fields(Settings):
        value = table.get(one.name)
        if isinstance(value, int) and not isinstance(value, bool) and one.type == "float":
            table[one.name] = float(value)
        elif value is not None and type(value).__name__ != one.type:
            raise TypeError(f"agent.{one.name} must be a {one.type}, not {value!r}")
    return table


def _toml(config: Config) -> str:
    # A JSON string or number is a TOML one too.
    data = asdict(config)
    table = data.pop("settings")
    lines = [f"{name} = {json.dumps(value)}" for name, value in data.items()]
    return "\n".join([*lines, "", "[agent]", *(f"{n} = {json.dumps(v)}" for n, v in table.items()), ""])


def _write(path: Path, text: str, mode: int) -> None:
    """Never readable by others, not even for a moment, and never half written."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _not_paired(path: Path) -> AgentError:
    return AgentError(
        "AMX-A01",
        f"This computer is not paired with a Studio yet (looked in {path}).",
        "Ask your Studio for a pairing code (Agents → Pair), then: aimatrix pair CODE --studio URL",
    )


def _bad_config(path: Path, reason: str) -> AgentError:
    return AgentError("AMX-A02", f"{path} cannot be read: {reason}", "Mend that line, or pair again.")


def _unwritable(path: Path, error: OSError) -> AgentError:
    return AgentError(
        "AMX-A03",
        f"{path} cannot be written: {error.strerror}",
        "Give this user the right to, or name another folder in AIMATRIX_HOME.",
    )
