"""The local agent: answers AIMatrix Studio's messages on this computer.

Names for handler files are loaded on first use, because Studio imports `local_agent.protocol` and must not
pay for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .context import Context as Context
    from .handlers import MasterAgent as MasterAgent
    from .handlers import on_message as on_message
    from .message import Message as Message
    from .message import Reply as Reply
    from .runner import Outcome as Outcome

__version__ = "0.1.0"
__all__ = ["Context", "MasterAgent", "Message", "Outcome", "Reply", "__version__", "on_message"]

_HOMES = {
    "Context": ".context",
    "MasterAgent": ".handlers",
    "Message": ".message",
    "Outcome": ".runner",
    "Reply": ".message",
    "on_message": ".handlers",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
