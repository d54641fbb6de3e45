"""The command `aimatrix`. Each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from . import __version__
from .errors import AgentError


@contextmanager
def _errors(as_json: bool = False) -> Iterator[None]:
    """Says what went wrong, and what to do, the same way for every command."""
    try:
        yield
    except AgentError as error:
        click.echo(json.dumps(error.as_json()) if as_json else f"Error: {error}", err=not as_json)
        raise SystemExit(error.exit_code) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aimatrix")
def main() -> None:
    """Answers your customers' messages on this computer.

    AIMatrix Studio receives them from Telegram, web chat and other channels; this program takes them from
    there over one outgoing connection, answers from your documents, your model or your own code, and sends
    the answers back. Nothing on this computer has to be reachable from outside.

    \b
    Begin with:
      aimatrix pair CODE --studio https://studio.example.com
      aimatrix serve --documents ./docs
    """


@main.command()
@click.argument("code")
@click.option(
    "--studio", required=True, metavar="URL", help="The address of your Studio, as in your browser."
)
@click.option("--name", metavar="NAME", help="What Studio calls this computer. Default: its host name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pair(code: str, studio: str, name: str | None, as_json: bool) -> None:
    """Connect this computer to a Studio, once.

    CODE comes from Studio: Agents → Pair. It works once, for ten minutes. The token that is exchanged for it
    is kept in ~/.aimatrix/token (or under AIMATRIX_HOME), for you alone.

    \b
    Example:
      aimatrix pair 7KQ2-M9XD --studio https://studio.example.com --name office
    """
    from .config import Home
    from .pairing import pair as exchange

    with _errors(as_json):
        config = exchange(code, studio, name or platform.node() or "agent", Home())
    if as_json:
        told = {"agent_id": config.agent_id, "name": config.name, "workspace": config.workspace}
        click.echo(json.dumps(told | {"studio": config.studio}))
    else:
        click.echo(f"Paired with {config.workspace or config.studio} as {config.name}.")
        click.echo("Next: aimatrix serve --documents ./docs")


@main.command()
@click.option("--handler", metavar="FILE", help="Your Python file, with a handler in it.")
@click.option("--documents", metavar="DIR", help="A folder of .md and .txt files to answer from.")
@click.option("--model", metavar="NAME", help="A model's name; auto: the first found; none: no model.")
@click.option(
    "--model-url", metavar="URL", help="Where the model server listens. Default: look on this computer."
)
@click.option("--credits", type=click.IntRange(1, 1000), help="How many messages to answer at the same time.")
def serve(**options: Any) -> None:
    """Answer messages until stopped (Ctrl-C finishes what is being answered).

    Without a handler, answers come from your documents, word for word and with their source; a model found on
    this computer (Ollama, LM Studio, llama.cpp …) may put them into words. What is not in the documents is
    handed to a person. Options that are not given are taken from ~/.aimatrix/config.toml.

    \b
    Examples:
      aimatrix serve --documents ./docs
      aimatrix serve --documents ./docs --model none
      aimatrix serve --handler shop.py --model qwen3:4b
    """
    import asyncio

    from .config import Home
    from .serve import serve as run

    home = Home()
    given = {name: value for name, value in options.items() if value is not None}
    with _errors():
        asyncio.run(run(home, replace(home.config().settings, **given)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def doctor(as_json: bool) -> None:
    """Check that everything is in place, and say what to do where it is not.

    Looks at the pairing, the token's permissions, Studio, the journal, the handler, the documents, and model
    servers on this computer. Exit status 1 when something has to be mended.

    \b
    Example:
      aimatrix doctor
      aimatrix doctor --json
    """
    from .config import Home
    from .doctor import examine

    findings = []
    for finding in examine(Home()):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.state:4}  {finding.check}: {finding.detail}")
            if finding.next_step:
                click.echo(f"      → {finding.next_step}")
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    if any(finding.state == "fail" for finding in findings):
        raise SystemExit(1)
