"""What the demo offers to ask, its agent can answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_agent.brain import Brain
from local_agent.documents import Documents
from local_agent.message import Reply
from studio.demo import CHAT

SHOP = Path(__file__).parents[1] / "local_agent" / "examples" / "shop"


@pytest.mark.parametrize("question", CHAT["suggestions"])
async def test_each_suggestion_is_answered_with_its_source(question: str) -> None:
    pieces = [piece async for piece in Brain(Documents(SHOP), None).answer(question)]
    assert isinstance(pieces[-1], Reply)
    assert "Source: " in pieces[-1].text
