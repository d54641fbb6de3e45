"""Canaries planted wherever a careless line could carry them: none comes out, in either format."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from studio.logs import HIDDEN, redacted
from workspaces.keys import mint

BOT = "123456789:AAEhBP0av28cZx7Q3vWm5LrT9yUd1KfGhJk"
CANARIES = {
    "an API key": mint("api"),
    "an agent token": mint("agent"),
    "a bot token": BOT,
    "a bot token in an address": f"https://api.telegram.org/bot{BOT}/sendMessage",
    "a header": "Authorization: Bearer 5up3r5ecret",
    "a query": "GET /live?token=5up3r5ecret&after=3",
    "a form": "secret=5up3r5ecret",
    "a database's address": "postgresql://studio:5up3r5ecret@db.example/studio",
    "a Redis without a user": "redis://:5up3r5ecret@127.0.0.1:6379/0",
}
SECRETS = [CANARIES["an API key"], CANARIES["an agent token"], BOT, "5up3r5ecret"]
PLANTED = pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES.keys())


LOGGING: dict[str, Any] = settings.LOGGING


class Failure(Exception):
    pass


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the logger `canaries` writes, through filters and formatter as LOGGING names them."""
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(formatter(request.param))
    for name in LOGGING["handlers"]["stderr"].get("filters", ()):
        handler.addFilter(import_string(LOGGING["filters"][name]["()"])())
    logger = logging.getLogger("canaries")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)


def formatter(name: str) -> logging.Formatter:
    made: dict[str, str] = LOGGING["formatters"][name]
    return import_string(made["()"])() if "()" in made else logging.Formatter(made["format"])  # type: ignore[no-any-return]


log = logging.getLogger("canaries")


def assert_hidden(stream: io.StringIO) -> None:
    line = stream.getvalue()
    assert line
    assert not [secret for secret in SECRETS if secret in line], line
    assert HIDDEN in line


def fail(word: str) -> None:
    raise Failure(f"could not call {word}")


@PLANTED
def test_a_canary_in_the_message_does_not_come_out(written: io.StringIO, canary: str) -> None:
    log.error(canary)
    assert_hidden(written)


@PLANTED
def test_a_canary_in_an_argument_does_not_come_out(written: io.StringIO, canary: str) -> None:
    log.error("called %s with %r", "it", canary)
    assert_hidden(written)


@PLANTED
def test_a_canary_in_an_object_does_not_come_out(written: io.StringIO, canary: str) -> None:
    log.error("called with %s", {"given": [canary]})
    assert_hidden(written)


@PLANTED
def test_a_canary_in_an_exception_does_not_come_out(written: io.StringIO, canary: str) -> None:
    try:
        fail(canary)
    except Failure:
        log.exception("it failed")
    assert "Failure" in written.getvalue()
    assert_hidden(written)


@PLANTED
def test_a_canary_in_the_cause_of_an_exception_does_not_come_out(written: io.StringIO, canary: str) -> None:
    try:
        try:
            fail(canary)
        except Failure as error:
            raise ValueError("no luck") from error
    except ValueError:
        log.exception("it failed")
    assert_hidden(written)


@PLANTED
def test_a_canary_in_an_extra_field_does_not_come_out(written: io.StringIO, canary: str) -> None:
    log.error("an extra: %s", canary, extra={"given": canary, "deep": {"er": [canary]}})
    assert_hidden(written)


@PLANTED
def test_a_canary_in_an_exception_that_was_formatted_before_does_not_come_out(
    written: io.StringIO, canary: str
) -> None:
    record = log.makeRecord("canaries", logging.ERROR, __file__, 1, "it failed", (), None)
    record.exc_text = f"Failure: {canary}"
    log.handle(record)
    assert_hidden(written)


@PLANTED
def test_a_canary_in_a_stack_does_not_come_out(written: io.StringIO, canary: str) -> None:
    record = log.makeRecord("canaries", logging.ERROR, __file__, 1, "here", (), None, sinfo=f"f({canary!r})")
    log.handle(record)
    assert_hidden(written)


def test_a_line_that_cannot_be_formatted_does_not_stop_the_program(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.error("%d apples", "many")
    log.error("too few: %s %s", "one")
    log.error("after that")
    assert "after that" in written.getvalue()


def test_json_lines_are_one_object_each() -> None:
    record: Any = log.makeRecord("gateway", logging.INFO, __file__, 1, "part %s\nsent", ("ab12",), None)
    line = formatter("json").format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("INFO", "gateway", "part ab12\nsent")
    assert told["time"]


@PLANTED
def test_a_line_is_json_after_something_was_cut_out_of_it(canary: str) -> None:
    record: Any = log.makeRecord("gateway", logging.INFO, __file__, 1, "the end: %s", (canary,), None)
    assert json.loads(formatter("json").format(record))["message"].startswith("the end: ")


@pytest.mark.parametrize(
    "plain",
    [
        "message 01a1fd04c81672c493dd9832394a398e stored",
        "GET /api/v1/conversations?limit=5 200",
        "http://127.0.0.1:8080/webchat/01a1fd04c81672c493dd9832394a398e",
        "took 12:34:56.789, 42 rows",
        "redis://127.0.0.1:6379/0 is away",
    ],
)
def test_what_opens_no_door_stays_readable(plain: str) -> None:
    assert redacted(plain) == plain
