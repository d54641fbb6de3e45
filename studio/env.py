"""Settings come from the environment, once; a bad value stops the start and names itself.

Every read is remembered in `DECLARED`, from which the settings table of the README is generated and checked.
`NAME_FILE` may hold a path to read the value from (Docker and Kubernetes secrets).
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class Declared:
    """One row of the settings table."""

    name: str
    default: str
    meaning: str


DECLARED: list[Declared] = []
SECRETS = ["SECRET_KEY", "VAULT_KEY", "KEY_PEPPER"]


def _read(name: str, default: str, meaning: str) -> str:
    DECLARED.append(Declared(name, default, meaning))
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={path!r} cannot be read: {error.strerror}") from error
    return os.environ.get(name, default)


def env_str(name: str, default: str, meaning: str) -> str:
    return _read(name, default, meaning)


def env_int(name: str, default: int, meaning: str) -> int:
    value = _read(name, str(default), meaning)
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number") from None


def env_float(name: str, default: float, meaning: str) -> float:
    value = _read(name, f"{default:g}", meaning)
    try:
        return float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a number") from None


def env_bool(name: str, default: bool, meaning: str) -> bool:
    value = _read(name, "yes" if default else "no", meaning).lower()
    if value in {"1", "yes", "true", "on"}:
        return True
    if value in {"0", "no", "false", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither yes nor no")


def env_list(name: str, default: str, meaning: str) -> list[str]:
    return [item.strip() for item in _read(name, default, meaning).split(",") if item.strip()]


def env_secret(name: str, keep_in: Path | None, meaning: str) -> bytes:
    """32 random bytes, given as URL-safe base64; where `keep_in` is a folder, made and kept there on first use."""
    value = _read(name, "made on first run", meaning)
    if value == "made on first run":
        if keep_in is None:
            raise ImproperlyConfigured(
                f"{name} is missing. Make one: python -c "
                '"import secrets, base64; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())"'
            )
        value = kept_secret(keep_in / name.lower())
    try:
        secret = base64.urlsafe_b64decode(value)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise ImproperlyConfigured(f"{name} must be 32 bytes as URL-safe base64")
    return secret


def kept_secret(path: Path) -> str:
    """The secret in `path`, made there on first use (mode 600)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    value = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
    return value


def database(url: str) -> dict[str, object]:
    """An entry of DATABASES from `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:pw@host/name`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path[1:],
            "TEST": {"NAME": f"{parts.path[1:]}.test"},
            "OPTIONS": {
                # FULL: a committed message survives a power cut, which NORMAL does not promise in WAL mode.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 10}},
        }
    raise ImproperlyConfigured(f"DATABASE_URL begins with {parts.scheme!r}; sqlite and postgresql are known")
