"""The default brain: answers from the owner's documents, in their own words, and says when it does not know.

It needs no language model. Where one is there, it may put the passages found into words; when it fails, even
in the middle, the answer is the quotation after all.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from .documents import Documents, Found
from .errors import AgentError
from .message import Reply, Restart, clean
from .models import ModelClient, ModelError
from .passages import Passage
from .prompt import ABSTAIN, grounded, plain
from .quoting import quote
from .runner import Piece

log = logging.getLogger(__name__)

NO_TEXT: Final = "I can only read text so far. I will pass this to a colleague."
WELCOME: Final = "You are welcome!"
WORDS: Final = 4  # shown at once, when we quote
PAUSE_S: Final = 0.02

_GREETING = re.compile(
    r"(hi+|hello|hey+|hiya|howdy|greetings|good (morning|afternoon|evening|day))( there| all| team)?",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"(ok(ay)?[ ,]*)?(thanks|thank you|thx|cheers)( a lot| so much| very much)?", re.IGNORECASE
)


class Brain:
    """Either part may be missing; without both it hands every question on."""

    def __init__(self, documents: Documents | None, model: ModelClient | None) -> None:
        self._documents = documents
        self._model = model

    def search(self, question: str, limit: int = 4) -> list[Passage]:
        return [one.passage for one in self._found(question, limit)]

    async def answer(self, question: str) -> AsyncGenerator[Piece, None]:
        """Pieces of the answer as it is written, and last the whole as a Reply."""
        asked = clean(question).strip()
        courtesy = self._courtesy(asked)
        found = [] if courtesy else self._found(asked)
        if courtesy is None and self._model and (found or self._documents is None):
            try:
                async with aclosing(self._by_model(self._model, asked, found)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ModelError as error:
                log.warning("the model failed, the documents answer: %s", error.message)
                yield Restart()
        reply = courtesy or _quotation(asked, found)
        async for words in _spoken(reply.text):
            yield words
        yield reply

    def ask_model(self, prompt: str, system: str) -> AsyncIterator[str]:
        """For handlers. Raises AgentError where there is no model."""
        if self._model is None:
            raise AgentError(
                "AMX-A60",
                "No language model was found on this computer.",
                "Start Ollama or another OpenAI-compatible server, or name one with --model-url.",
            )
        return self._model.stream(plain(prompt, system))

    def _found(self, question: str, limit: int = 4) -> list[Found]:
        return self._documents.search(question, limit) if self._documents else []

    def _courtesy(self, asked: str) -> Reply | None:
        bare = asked.strip(" .,!?")
        if not bare:
            return Reply(NO_TEXT, handoff=True, by="documents")
        if _THANKS.fullmatch(bare):
            return Reply(WELCOME, by="documents")
        if _GREETING.fullmatch(bare):
            return Reply(self._greeting(), by="documents")
        return None

    def _greeting(self) -> str:
        titles = self._documents.titles[:6] if self._documents else []
        about = f" I can answer questions about: {', '.join(titles)}." if titles else ""
        return f"Hello! How can I help you?{about}"

    async def _by_model(
        self, model: ModelClient, asked: str, found: list[Found]
    ) -> AsyncGenerator[Piece, None]:
        text = ""
        async with aclosing(model.stream(grounded(asked, [one.passage for one in found]))) as pieces:
            async for piece in pieces:
                text += piece
                yield piece
        text = text.strip()
        if not text:
            raise ModelError(model.name, "an empty answer")
        if ABSTAIN.lower()[:30] in text.lower():
            yield Reply(ABSTAIN, handoff=True, by=model.name)
            return
        source = found[0].passage.source if found else ""
        yield Reply(_with_source(text, source), sources=[source] if source else [], by=model.name)


def _quotation(asked: str, found: list[Found]) -> Reply:
    if not found:
        return Reply(ABSTAIN, handoff=True, by="documents")
    passage = found[0].passage
    text = _with_source(quote(asked, passage.text), passage.source)
    return Reply(text, sources=[passage.source], by="documents")


def _with_source(text: str, source: str) -> str:
    return f"{text}\n\nSource: {source}" if source else text


async def _spoken(text: str) -> AsyncIterator[str]:
    """A few words at a time, so that the reader sees it come; the pieces join to `text`."""
    words = re.findall(r"\S*\s*", text)
    for at in range(0, len(words), WORDS):
        yield "".join(words[at : at + WORDS])
        await asyncio.sleep(PAUSE_S)
