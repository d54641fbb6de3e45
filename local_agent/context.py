"""What a handler can ask for while it answers one message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from .message import Message

if TYPE_CHECKING:
    from .brain import Brain
    from .passages import Passage
    from .runner import Piece


class Context:
    """Belongs to one message; do not keep it."""

    def __init__(self, message: Message, brain: Brain, say: Callable[[str], None]) -> None:
        self.message = message
        self._brain = brain
        self._say = say

    def search(self, question: str, limit: int = 4) -> list[Passage]:
        """Passages of the documents that speak of the question, best first; empty where none does."""
        return self._brain.search(question, limit)

    def answer(self, question: str | None = None) -> AsyncIterator[Piece]:
        """The default brain's answer, piece by piece, to this message or to another question."""
        return self._brain.answer(self.message.text if question is None else question)

    async def llm(self, prompt: str, *, system: str = "") -> str:
        """The model's whole answer. Raises AgentError where no model is there, or it fails."""
        return "".join([piece async for piece in self.llm_stream(prompt, system=system)])

    def llm_stream(self, prompt: str, *, system: str = "") -> AsyncIterator[str]:
        """The model's answer, piece by piece."""
        return self._brain.ask_model(prompt, system)

    async def say(self, text: str) -> None:
        """Sends a part of the answer now, for good; what the handler returns comes after it."""
        self._say(text)
