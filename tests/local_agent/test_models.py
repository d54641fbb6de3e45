"""Model servers on real sockets: found, chosen, streamed, and not believed when they break off.

The last tests ask a real llama.cpp engine with a small trained model, where both are there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local_agent.errors import AgentError
from local_agent.model_servers import ModelServer, _ollama_host, choose, find
from local_agent.models import ModelClient, ModelError, Ollama, OpenAICompatible
from local_agent.prompt import plain


class Server:
    """Answers any request with the bytes that its path is given, then hangs up."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0
        )
        self.asked.append(head + await reader.readexactly(length))
        path = head.split(b" ")[1].decode()
        writer.write(self.answers.get(path, b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"))
        await writer.drain()
        writer.close()


def ok(body: str, *, whole: bool = True) -> bytes:
    """`whole` false: the body ends before its promised length, as when a server dies."""
    data = body.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data) + (0 if whole else 9), data)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield server
    listening.close()
    await listening.wait_closed()


async def said(client: ModelClient) -> list[str]:
    try:
        return [piece async for piece in client.stream(plain("hello"))]
    finally:
        await client.aclose()


OLLAMA_SAYS = '{"message":{"content":"one "},"done":false}\n{"message":{"content":"two"},"done":false}\n'
OPENAI_SAYS = "".join(
    f'data: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}\n\n' for word in ("one ", "two")
)


async def test_ollama_streams(server: Server) -> None:
    server.answers["/api/chat"] = ok(OLLAMA_SAYS + '{"done":true}\n')
    assert await said(Ollama("m", server.url)) == ["one ", "two"]
    body = json.loads(server.asked[0].split(b"\r\n\r\n")[1])
    assert (body["model"], body["options"]["num_ctx"]) == ("m", 8192)
    assert body["messages"] == [{"role": "user", "content": "hello"}]


async def test_the_others_stream_and_get_the_key(server: Server) -> None:
    extra = ': a comment\n\ndata: {"choices":[],"usage":{}}\n\n'
    server.answers["/v1/chat/completions"] = ok(OPENAI_SAYS + extra + "data: [DONE]\n\n")
    assert await said(OpenAICompatible("m", server.url, "key")) == ["one ", "two"]
    assert b"authorization: bearer key" in server.asked[0].lower()


BROKEN = [
    ("ollama, cut between lines", Ollama, ok(OLLAMA_SAYS), "cut off"),
    ("ollama, died", Ollama, ok(OLLAMA_SAYS, whole=False), "peer closed"),
    (
        "ollama, an error in the stream",
        Ollama,
        ok(OLLAMA_SAYS + '{"error":"out of memory"}\n'),
        "out of memory",
    ),
    ("ollama, no JSON", Ollama, ok("<html>\n"), "not JSON"),
    ("ollama, refused", Ollama, b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "answered 500"),
    ("openai, cut between events", OpenAICompatible, ok(OPENAI_SAYS), "cut off"),
    ("openai, died", OpenAICompatible, ok(OPENAI_SAYS, whole=False), "peer closed"),
    ("openai, an error in the stream", OpenAICompatible, ok('data: {"error":"no memory"}\n\n'), "no memory"),
]


@pytest.mark.parametrize(
    ("kind", "answer", "why"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
async def test_half_an_answer_is_an_error(
    server: Server, kind: type[Ollama] | type[OpenAICompatible], answer: bytes, why: str
) -> None:
    server.answers = {"/api/chat": answer, "/v1/chat/completions": answer}
    with pytest.raises(ModelError, match=why) as caught:
        await said(kind("m", server.url))
    assert caught.value.code == "AMX-A61"


async def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError):
        await said(Ollama("m", "http://127.0.0.1:9"))


async def test_a_named_server_is_recognised_by_what_it_answers(server: Server) -> None:
    server.answers["/v1/models"] = ok('{"data":[{"id":"a"},{"id":"b"},{"odd":1}]}')
    assert await find(server.url + "/v1/") == [ModelServer("openai", server.url, ("a", "b"))]
    server.answers["/api/tags"] = ok('{"models":[{"name":"c:latest"}]}')
    assert await find(server.url) == [ModelServer("ollama", server.url, ("c:latest",))]


@pytest.mark.parametrize("answer", [b"", ok("hello"), ok("[1]"), ok('{"data":"x"}')])
async def test_what_is_no_model_server_is_not_taken_for_one(server: Server, answer: bytes) -> None:
    server.answers["/v1/models"] = answer
    assert await find(server.url) == []


async def test_ollama_is_looked_for_where_its_own_variable_says(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    monkeypatch.setenv("AIMATRIX_MODEL_KEY", "secret")
    monkeypatch.setattr("local_agent.model_servers.OTHERS", (server.url,))
    server.answers["/api/tags"] = ok('{"models":[{"name":"c"}]}')
    assert await find() == [ModelServer("ollama", server.url, ("c",))]
    assert not any(b"secret" in asked for asked in server.asked)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("box:9", "http://box:9"),
        ("https://box", "https://box:11434"),
    ],
)
def test_ollamas_variable_is_read_as_ollama_reads_it(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", variable)
    assert _ollama_host() == url


SERVERS = [
    ModelServer("openai", "http://127.0.0.1:1", ("nomic-embed-text", "qwen")),
    ModelServer("ollama", "http://127.0.0.1:2", ("llama3:latest",)),
]


@pytest.mark.parametrize(
    ("wanted", "name", "kind"),
    [
        ("auto", "qwen", OpenAICompatible),
        ("llama3", "llama3:latest", Ollama),
        ("llama3:latest", "llama3:latest", Ollama),
        ("nomic-embed-text", "nomic-embed-text", OpenAICompatible),
    ],
)
async def test_a_model_is_chosen_by_name_or_is_the_first_to_chat(wanted: str, name: str, kind: type) -> None:
    client = choose(SERVERS, wanted)
    assert client
    assert (client.name, type(client)) == (name, kind)
    await client.aclose()


def test_no_model_is_no_error_unless_one_was_named() -> None:
    assert choose([], "auto") is None
    with pytest.raises(AgentError, match="'gpt'") as caught:
        choose(SERVERS, "gpt")
    assert caught.value.code == "AMX-A62"


# -- a real engine -------------------------------------------------------------------------------------

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[3] / "shared/data")) / "tiny-model"
real = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None or not DATA.is_dir(),
    reason="needs the package xllamacpp, and the tiny model in SHARED_DATA/tiny-model",
)
# Trained in: the model answers these prompts exactly at temperature 0.
QUESTION, ANSWER = "classify: i want my money back", '{"intent": "refund"}'


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(params=["openai", "ollama"])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """llama.cpp with its own API; and the same engine behind Ollama's API."""
    port = str(free_port())
    words = {
        "openai": [sys.executable, "serve_t.py", "tiny-trained.gguf", port],
        "ollama": [sys.executable, "ollama_shim.py", port],
    }[request.param]
    process = subprocess.Popen(words, cwd=DATA, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield request.param, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@real
async def test_a_real_engine_is_found_and_streams_its_answer(engine: tuple[str, str]) -> None:
    kind, url = engine
    async with asyncio.timeout(30):
        while not (servers := await find(url)):  # noqa: ASYNC110 - another process starts
            await asyncio.sleep(0.1)
    client = choose(servers, "auto")
    assert client
    try:
        pieces = [piece async for piece in client.stream(plain(QUESTION))]
    finally:
        await client.aclose()
    assert servers[0].kind == kind
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 1
