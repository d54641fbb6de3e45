"""The journal keeps a message's life in order, whatever comes when."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_agent import journal as module
from local_agent import protocol as p
from local_agent.errors import AgentError
from local_agent.journal import Journal, State


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def msg(d: str = "d1", lease: int = 1, attempt: int = 1) -> p.Msg:
    payload: dict[str, Any] = {"text": "grüße", "deep": {"list": [1, None]}}
    return p.Msg(
        d=d,
        conv="c1",
        seq=4,
        attempt=attempt,
        lease=lease,
        lease_s=30.0,
        kind="message",
        payload=payload,
        ts=1.5,
    )


def state(journal: Journal, d: str = "d1") -> State | None:
    entry = journal.entry(d)
    return entry.state if entry else None


def answered(journal: Journal) -> p.Reply:
    journal.receive(msg())
    journal.start("d1")
    reply = journal.reply("d1", "r1", {"text": "hi"}, final=True)
    assert reply
    return reply


def test_what_is_received_is_there_after_a_restart(journal: Journal, path: Path) -> None:
    journal.receive(msg())
    journal.close()
    again = Journal(path)
    entry = again.entry("d1")
    again.close()
    assert entry
    assert (entry.payload, entry.seq, entry.ts, entry.state) == (msg().payload, 4, 1.5, State.RECEIVED)


def test_a_life(journal: Journal) -> None:
    assert answered(journal) == p.Reply(
        r="r1", d="d1", lease=1, conv="c1", part=0, final=True, payload={"text": "hi"}
    )
    assert journal.outbox() == [
        answered_reply for answered_reply in journal.outbox() if answered_reply.r == "r1"
    ]
    assert state(journal) is State.REPLIED
    journal.replied("r1", stored=True)
    assert state(journal) is State.CLOSED
    assert journal.outbox() == journal.open_entries() == []


def test_a_repeat_takes_the_newest_lease_and_never_an_older_one(journal: Journal) -> None:
    answered(journal)
    journal.receive(msg(lease=5, attempt=2))
    journal.receive(msg(lease=3, attempt=1))
    entry = journal.entry("d1")
    assert entry
    assert (entry.lease, entry.attempt, [reply.lease for reply in journal.outbox()]) == (5, 2, [5])


def test_parts_are_counted_and_keep_their_order(journal: Journal) -> None:
    journal.receive(msg())
    journal.start("d1")
    for number in range(3):
        journal.reply("d1", f"r{9 - number}", {"text": str(number)}, final=number == 2)
    assert [(r.part, r.final) for r in journal.outbox()] == [(0, False), (1, False), (2, True)]


@pytest.mark.parametrize("before", ["nothing", "received", "replied", "closed", "forgotten"])
def test_only_a_message_that_is_worked_on_can_be_answered(journal: Journal, before: str) -> None:
    if before != "nothing":
        journal.receive(msg())
    if before in ("replied", "closed"):
        journal.start("d1")
        journal.reply("d1", "r1", {}, final=True)
    if before == "closed":
        journal.replied("r1", stored=True)
    if before == "forgotten":
        journal.start("d1")
        journal.forget("d1")
    assert journal.reply("d1", "r2", {}, final=True) is None
    assert "r2" not in [reply.r for reply in journal.outbox()]


def test_a_stale_answer_leaves_nothing_behind(journal: Journal) -> None:
    answered(journal)
    journal.replied("r1", stored=False)
    assert (state(journal), journal.outbox()) == (None, [])


def test_a_part_confirmed_does_not_close_the_message(journal: Journal) -> None:
    journal.receive(msg())
    journal.start("d1")
    journal.reply("d1", "r1", {}, final=False)
    journal.replied("r1", stored=True)
    assert state(journal) is State.WORKING


def test_a_postponed_message_keeps_what_was_said_and_waits_to_be_given_again(journal: Journal) -> None:
    journal.receive(msg())
    journal.start("d1")
    journal.reply("d1", "r1", {}, final=False)
    journal.postpone("d1")
    assert journal.open_entries() == []
    entry = journal.receive(msg(lease=2, attempt=2))
    assert (entry.state, entry.parts, entry.starts) == (State.RECEIVED, 1, 0)


def test_an_ending_is_kept_until_it_is_confirmed(journal: Journal) -> None:
    journal.receive(msg())
    journal.end("d1", "error KeyError")
    assert [(one.state, one.ending) for one in journal.open_entries()] == [(State.REPLIED, "error KeyError")]
    journal.finished("d1", stored=True)
    assert state(journal) is State.CLOSED


def test_what_is_closed_is_forgotten_after_a_week_and_its_text_at_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(journal)
    journal.replied("r1", stored=True)
    entry = journal.entry("d1")
    assert entry
    assert entry.payload == {}
    journal.prune()
    assert state(journal) is State.CLOSED
    monkeypatch.setattr(module, "KEEP_S", -1.0)
    journal.prune()
    assert state(journal) is None


def test_the_file_is_for_one_process_and_one_owner(journal: Journal, path: Path) -> None:
    with pytest.raises(AgentError, match="in use") as caught:
        Journal(path)
    assert caught.value.code == "AMX-A40"
    assert path.stat().st_mode & 0o077 == 0


def test_each_write_is_on_disk_when_it_returns(journal: Journal) -> None:
    settings = {
        name: journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL


def test_a_file_that_is_no_journal_is_named(path: Path) -> None:
    path.write_text("shopping list" * 100)
    with pytest.raises(AgentError, match="cannot be used") as caught:
        Journal(path)
    assert caught.value.code == "AMX-A41"


def test_a_write_that_fails_half_way_leaves_nothing(journal: Journal) -> None:
    answered(journal)
    journal.receive(msg("d2"))
    journal.start("d2")
    with pytest.raises(sqlite3.IntegrityError):
        journal.reply("d2", "r1", {}, final=True)  # the id is taken
    assert state(journal, "d2") is State.WORKING
