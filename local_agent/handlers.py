"""Finds the owner's code in a Python file: an async function `handle`, or one subclass of MasterAgent."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from .context import Context
from .errors import AgentError
from .message import Message
from .runner import Handle, Outcome

_CHANNEL = "__aimatrix_channel__"
_Method = TypeVar("_Method", bound=Callable[..., Any])


def on_message(*, channel: str | None = None) -> Callable[[_Method], _Method]:
    """Marks a method of a MasterAgent: it answers messages of this channel kind, or of every kind."""

    def mark(method: _Method) -> _Method:
        setattr(method, _CHANNEL, channel or "")
        return method

    return mark


class MasterAgent:
    """Subclass it in a handler file. A message goes to the first method marked for it, else to `handle`."""

    documents: ClassVar[str | None] = None  # a folder, from where the handler file lies

    def handle(self, message: Message, context: Context) -> Outcome:
        """Answers from the documents. Override it, async or not, returning text or yielding pieces."""
        return context.answer()

    def __call__(self, message: Message, context: Context) -> Outcome:
        for method in _marked(type(self)):
            if getattr(method, _CHANNEL) in ("", message.channel):
                answer: Outcome = method(self, message, context)
                return answer
        return self.handle(message, context)


def load(path: Path) -> Handle:
    """Raises AgentError with file and line where the file cannot be used."""
    path = path.expanduser().resolve()
    module = _run(path)
    classes = [found for found in vars(module).values() if _is_agent(found, module)]
    if len(classes) > 1:
        names = ", ".join(found.__name__ for found in classes)
        raise _unusable(path, f"has more than one MasterAgent: {names}", "Keep one in the file.")
    if classes:
        return _made(path, classes[0])
    return _function(path, module)


def documents_of(handle: Handle, path: Path) -> Path | None:
    """The folder that a MasterAgent names, if it does."""
    named = handle.documents if isinstance(handle, MasterAgent) else None
    return (path.parent / named).resolve() if named else None


def _function(path: Path, module: ModuleType) -> Handle:
    found = getattr(module, "handle", None)
    if found is None:
        raise _unusable(path, "has no handler", "Write: async def handle(message, context): return 'Hello'")
    if not (inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)):
        where = f"{path}:{_line(found)}"
        raise _unusable(where, "handle is not async", "Write it as: async def handle(message, context):")
    handle: Handle = found
    return handle


def _made(path: Path, agent: type[MasterAgent]) -> Handle:
    try:
        return agent()
    except Exception as error:  # the owner's __init__
        raise _failed(path, error) from error


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise AgentError("AMX-A20", f"There is no handler file {path}.", "Check the path after --handler.")
    # A name of its own: a handler called email.py must not become everybody's email.
    spec = importlib.util.spec_from_file_location(f"aimatrix_handler_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise _unusable(path, "is not a Python file", "Give it the ending .py.")
    module = importlib.util.module_from_spec(spec)
    # As `python file.py` does it: the file may import its neighbours, and classes find their module.
    sys.path.insert(0, str(path.parent))
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the owner's code
        raise _failed(path, error) from error
    return module


def _is_agent(found: object, module: ModuleType) -> bool:
    return inspect.isclass(found) and issubclass(found, MasterAgent) and found.__module__ == module.__name__


def _marked(agent: type[MasterAgent]) -> list[Callable[..., Any]]:
    methods: dict[str, Any] = {}
    for kind in reversed(agent.__mro__):
        methods |= vars(kind)
    return [method for method in methods.values() if hasattr(method, _CHANNEL)]


def _line(found: object) -> int:
    code = getattr(found, "__code__", None)
    return int(code.co_firstlineno) if code else 1


def _failed(path: Path, error: Exception) -> AgentError:
    line = error.lineno if isinstance(error, SyntaxError) else None
    for step in traceback.extract_tb(error.__traceback__):
        if Path(step.filename) == path:
            line = step.lineno
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"{path}:{line}" if line else str(path)
    what = f"{where}: {type(error).__name__}: {reason}"
    return AgentError("AMX-A21", what, "Mend it, then look with: aimatrix doctor")


def _unusable(where: Path | str, reason: str, next_step: str) -> AgentError:
    return AgentError("AMX-A22", f"{where} {reason}.", next_step)
