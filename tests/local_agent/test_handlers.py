"""Owners' files: what is found in them, and what is said when they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_agent.brain import Brain
from local_agent.context import Context
from local_agent.errors import AgentError
from local_agent.handlers import documents_of, load
from local_agent.message import Message, Reply
from local_agent.runner import Failed, Runner
from local_agent.stream import Stream

HEAD = """from __future__ import annotations
from local_agent import MasterAgent, Reply, on_message
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(text)
    return path


def message(channel: str = "webchat", text: str = "hello") -> Message:
    return Message.read(
        "d1", "c1", 1, 1.0, {"text": text, "channel": {"kind": channel}, "contact": {"name": "Ann"}}
    )


async def ask(path: Path, given: Message) -> Reply | Failed | None:
    runner = Runner(load(path), timeout_s=5.0)
    return await runner.run(
        given, Context(given, Brain(None, None), lambda text: None), Stream(lambda at, text: True)
    )


async def test_a_function(tmp_path: Path) -> None:
    path = file(tmp_path, "async def handle(message, context):\n    return 'hi ' + message.contact_name\n")
    assert await ask(path, message()) == Reply("hi Ann")


async def test_a_function_that_yields(tmp_path: Path) -> None:
    path = file(tmp_path, "async def handle(message, context):\n    yield 'a'\n    yield 'b'\n")
    assert await ask(path, message()) == Reply("ab")


AGENT = """
class Shop(MasterAgent):
    documents = "docs"

    @on_message(channel="telegram")
    async def on_telegram(self, message, context):
        return Reply("by telegram", handoff=True)

    @on_message(channel="email")
    def on_email(self, message, context):
        return "by email"

    async def handle(self, message, context):
        yield "by "
        yield message.channel
"""


@pytest.mark.parametrize(
    ("channel", "answer"),
    [
        ("telegram", Reply("by telegram", handoff=True)),
        ("email", Reply("by email")),
        ("webchat", Reply("by webchat")),
    ],
)
async def test_an_agent_answers_each_channel_by_its_own_method(
    tmp_path: Path, channel: str, answer: Reply
) -> None:
    assert await ask(file(tmp_path, HEAD + AGENT), message(channel)) == answer


async def test_an_agent_without_methods_answers_as_the_default_brain(tmp_path: Path) -> None:
    path = file(tmp_path, HEAD + "class Shop(MasterAgent):\n    pass\n")
    reply = await ask(path, message(text="thanks!"))
    assert isinstance(reply, Reply)
    assert reply.text == "You are welcome!"


def test_an_agents_documents_lie_beside_its_file(tmp_path: Path) -> None:
    path = file(tmp_path, HEAD + AGENT)
    assert documents_of(load(path), path) == tmp_path / "docs"


def test_a_file_may_import_its_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "neighbour_of_shop.py").write_text("WORD = 'x'\n")
    path = file(
        tmp_path, "from neighbour_of_shop import WORD\nasync def handle(message, context):\n    return WORD\n"
    )
    assert callable(load(path))


UNUSABLE = [
    (
        "a syntax error",
        "async def handle(message, context):\n    return (\n",
        "AMX-A21",
        "shop.py:2: SyntaxError",
    ),
    ("an error at import", "import os\nos.environ['NOT THERE']\n", "AMX-A21", "shop.py:2: KeyError"),
    ("nothing in it", "x = 1\n", "AMX-A22", "has no handler"),
    (
        "not async",
        "x = 1\n\ndef handle(message, context):\n    pass\n",
        "AMX-A22",
        "shop.py:3 handle is not async",
    ),
    (
        "two agents",
        HEAD + "class A(MasterAgent): ...\nclass B(MasterAgent): ...\n",
        "AMX-A22",
        "more than one",
    ),
    (
        "an agent that fails",
        HEAD + "class A(MasterAgent):\n    def __init__(self): 1/0\n",
        "AMX-A21",
        "shop.py:4",
    ),
]


@pytest.mark.parametrize(
    ("text", "code", "said"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE]
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, text: str, code: str, said: str
) -> None:
    with pytest.raises(AgentError) as caught:
        load(file(tmp_path, text))
    assert caught.value.code == code
    assert said in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="no handler file"):
        load(tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    ("body", "error"),
    [("return 42", "NotAnAnswer"), ("yield 42", "NotAnAnswer"), ("return 'x' * 100_001", "AnswerTooLong")],
)
async def test_what_is_no_answer_is_a_failure(tmp_path: Path, body: str, error: str) -> None:
    path = file(tmp_path, f"async def handle(message, context):\n    {body}\n")
    assert await ask(path, message()) == Failed("retry", error, 5.0)


@pytest.mark.parametrize("body", ["return None", "return ''", "return '  '"])
async def test_nothing_to_say_is_no_answer(tmp_path: Path, body: str) -> None:
    path = file(tmp_path, f"async def handle(message, context):\n    {body}\n")
    assert await ask(path, message()) is None


async def test_the_example_handler_works(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).parents[2] / "local_agent/examples/handler.py"
    assert await ask(path, message(text="I want a HUMAN")) == Reply(
        "I am fetching a colleague for you.", handoff=True
    )
    assert await ask(path, message(text="thanks")) == Reply("You are welcome!", by="documents")


@pytest.mark.parametrize(
    "payload", [{}, {"text": 5, "channel": "x", "contact": None, "sent_at": "y"}, {"trust": 1}]
)
def test_a_message_with_missing_or_odd_fields_is_still_a_message(payload: dict[str, Any]) -> None:
    read = Message.read("d1", "c1", 2, 9.0, payload)
    assert (read.text, read.channel, read.contact_name, read.trust, read.sent_at) == (
        "",
        "",
        "",
        "unknown",
        9.0,
    )
