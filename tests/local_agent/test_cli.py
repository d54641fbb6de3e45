"""The command line: it pairs, examines and explains, and starts quickly."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local_agent import __version__
from local_agent.cli import main
from local_agent.config import Config, Home, Settings
from local_agent.journal import Journal

from .tiny_studio import TinyStudio

SHOP = Path(__file__).parents[2] / "local_agent/examples/shop"


async def run(home: Home, *words: str) -> Result:
    """In a thread, because the tiny Studio answers from this one."""
    return await asyncio.to_thread(
        CliRunner().invoke,
        main,
        list(words),
        env={"AIMATRIX_HOME": str(home.path), "OLLAMA_HOST": "127.0.0.1:9"},
    )


@pytest.fixture(autouse=True)
def _no_model_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_agent.model_servers.OTHERS", ())


# -- pair ----------------------------------------------------------------------------------------------


async def test_pair_trades_a_code_for_a_token_and_keeps_it(studio: TinyStudio, home: Home) -> None:
    result = await run(home, "pair", "GOOD-CODE", "--studio", studio.url, "--name", "office")
    assert result.exit_code == 0
    assert result.output == "Paired with Acme as office.\nNext: aimatrix serve --documents ./docs\n"
    assert (home.config().agent_id, home.config().name, home.token()) == ("a1", "office", studio.token)
    assert studio.token not in result.output


async def test_pair_for_programs(studio: TinyStudio, home: Home) -> None:
    result = await run(home, "pair", "GOOD-CODE", "--studio", studio.url, "--name", "office", "--json")
    assert json.loads(result.output) == {
        "agent_id": "a1",
        "name": "office",
        "workspace": "Acme",
        "studio": studio.url,
    }


async def test_pairing_again_keeps_the_settings(studio: TinyStudio, home: Home) -> None:
    home.save(Config("https://old.example.com", "a0", "x", settings=Settings(documents="/docs")), "old")
    await run(home, "pair", "GOOD-CODE", "--studio", studio.url)
    assert (home.config().settings.documents, home.token()) == ("/docs", studio.token)


async def test_a_wrong_code_says_what_to_do_next(studio: TinyStudio, home: Home) -> None:
    result = await run(home, "pair", "BAD-CODE", "--studio", studio.url)
    assert result.exit_code == 1
    assert result.stderr == "Error: this code is not valid (AMX-3410)\nask again\n"
    assert not home.token_file.exists()


async def test_a_wrong_code_for_programs(studio: TinyStudio, home: Home) -> None:
    result = await run(home, "pair", "BAD-CODE", "--studio", studio.url, "--json")
    assert json.loads(result.stdout) == {
        "code": "AMX-3410",
        "title": "this code is not valid",
        "next_step": "ask again",
    }


@pytest.mark.parametrize(
    ("url", "code"), [("http://127.0.0.1:9", "AMX-A10"), ("studio.example.com", "AMX-A04")]
)
async def test_an_address_that_does_not_answer(home: Home, url: str, code: str) -> None:
    result = await run(home, "pair", "GOOD-CODE", "--studio", url)
    assert (result.exit_code, code in result.stderr) == (1, True)


@pytest.mark.parametrize("refuses", [(404, {}), (201, {"odd": 1}), (500, {"detail": "x"})])
async def test_an_address_that_is_no_studio(
    studio: TinyStudio, home: Home, refuses: tuple[int, dict[str, Any]]
) -> None:
    studio.refuses = refuses
    result = await run(home, "pair", "GOOD-CODE", "--studio", studio.url)
    assert (result.exit_code, "AMX-A12" in result.stderr) == (1, True)


# -- doctor --------------------------------------------------------------------------------------------


async def findings(home: Home) -> dict[str, dict[str, str]]:
    result = await run(home, "doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == any(one["state"] == "fail" for one in found.values())
    return found


def paired(home: Home, studio: TinyStudio, **settings: Any) -> None:
    home.save(Config(studio.url, "a1", "office", settings=Settings(**settings)), studio.token)


async def test_all_is_well(studio: TinyStudio, home: Home) -> None:
    paired(home, studio, documents=str(SHOP))
    found = await findings(home)
    assert {check: one["state"] for check, one in found.items()} == dict.fromkeys(
        ["paired", "token file", "studio", "token", "documents", "models", "journal"], "ok"
    )
    assert "7 files" in found["documents"]["detail"]


async def test_for_people_it_prints_a_line_each_and_the_next_step(home: Home) -> None:
    result = await run(home, "doctor")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith("fail  paired: This computer is not paired")
    assert "      → Ask your Studio for a pairing code" in result.stdout


async def test_a_token_others_can_read(studio: TinyStudio, home: Home) -> None:
    paired(home, studio)
    home.token_file.chmod(0o644)
    found = await findings(home)
    assert found["token file"]["state"] == "fail"
    assert found["token file"]["next_step"] == f"chmod 600 {home.token_file}"


async def test_a_token_that_was_withdrawn(studio: TinyStudio, home: Home) -> None:
    paired(home, studio)
    studio.token = "another"
    assert (await findings(home))["token"]["state"] == "fail"


async def test_a_studio_that_is_away(studio: TinyStudio, home: Home) -> None:
    home.save(Config("http://127.0.0.1:9", "a1", "office"), "token")
    found = await findings(home)
    assert (found["studio"]["state"], found["token"]["state"]) == ("fail", "warn")


async def test_a_handler_that_does_not_load(studio: TinyStudio, home: Home, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1/0\n")
    paired(home, studio, handler=str(tmp_path / "bad.py"))
    assert "bad.py:1: ZeroDivisionError" in (await findings(home))["handler"]["detail"]


async def test_documents_that_are_not_there(studio: TinyStudio, home: Home, tmp_path: Path) -> None:
    paired(home, studio, documents=str(tmp_path / "nowhere"))
    assert (await findings(home))["documents"]["state"] == "fail"
    paired(home, studio, documents=str(tmp_path))
    assert (await findings(home))["documents"]["state"] == "warn"


async def test_a_journal_in_use_is_well(studio: TinyStudio, home: Home) -> None:
    paired(home, studio)
    journal = Journal(home.journal_file)
    found = await findings(home)
    journal.close()
    assert found["journal"] == {
        "check": "journal",
        "state": "ok",
        "detail": "in use by aimatrix serve",
        "next_step": "",
    }


# -- the rest ------------------------------------------------------------------------------------------


async def test_serve_before_pairing_says_how_to_pair(home: Home) -> None:
    result = await run(home, "serve")
    assert (result.exit_code, "AMX-A01" in result.stderr) == (1, True)


async def test_serve_without_its_documents_or_model_says_so(
    studio: TinyStudio, home: Home, tmp_path: Path
) -> None:
    paired(home, studio)
    result = await run(home, "serve", "--documents", str(tmp_path / "nowhere"))
    assert (result.exit_code, "AMX-A30" in result.stderr) == (1, True)
    result = await run(home, "serve", "--model", "gpt-oss")
    assert (result.exit_code, "AMX-A62" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", ["pair", "serve", "doctor"])
async def test_every_command_explains_itself(home: Home, command: str) -> None:
    result = await run(home, command, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 300


async def test_the_version_is_told(home: Home) -> None:
    assert (await run(home, "--version")).output == f"aimatrix, version {__version__}\n"


def seconds(*words: str) -> float:
    """CPU seconds of a Python process, the least of five."""
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs)


def test_help_is_quick() -> None:
    """The library that reads the command line is most of it; we add little."""
    bare, click, ours = (
        seconds("-c", "pass"),
        seconds("-c", "import click"),
        seconds("-m", "local_agent", "--help"),
    )
    print(
        f"--help: {ours / bare:.1f} x bare Python, {ours / click:.1f} x import click ({ours * 1000:.0f} ms)"
    )
    assert ours <= 1.6 * click


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import local_agent", ["msgspec", "httpx", "websockets", "click", "asyncio", "sqlite3"]),
        ("import local_agent.protocol", ["httpx", "websockets", "click", "asyncio", "sqlite3"]),
        ("import local_agent.cli", ["httpx", "websockets", "asyncio", "sqlite3", "msgspec"]),
    ],
)
def test_imports_are_light(code: str, absent: list[str]) -> None:
    script = f"import sys; {code}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_names_for_handlers_are_there_when_asked_for() -> None:
    import local_agent

    for name in local_agent.__all__:
        assert getattr(local_agent, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = local_agent.nonsense
