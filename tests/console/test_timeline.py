"""Rows in, stages out: every way a message can go, and every place where it can stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent_link.models import Envelope, EnvelopeState
from gateway.models import Direction, Message, MessageStatus, OutboxPart, PartState
from gateway.timeline import Answered, Progress, Timeline, of_inbound, of_outgoing

START = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


def at(milliseconds: float) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def said(stored: float = 3) -> Message:
    return Message(
        direction=Direction.IN, status=MessageStatus.RECEIVED, received_at=at(0), stored_at=at(stored)
    )


def envelope(**fields: object) -> Envelope:
    return Envelope(kind="message", **fields)  # type: ignore[misc]


def finished(pushed: float = 5, acknowledged: float = 9, done: float = 812) -> Envelope:
    return envelope(
        state=EnvelopeState.DONE,
        pushed_at=at(pushed),
        acknowledged_at=at(acknowledged),
        finished_at=at(done),
    )


def part(state: PartState = PartState.SENT, **fields: object) -> OutboxPart:
    return OutboxPart(state=state, **fields)  # type: ignore[misc]


def answered(*parts: OutboxPart, replied: float = 810) -> Answered:
    message = Message(
        direction=Direction.OUT,
        status=MessageStatus.QUEUED,
        received_at=at(replied),
        stored_at=at(replied + 2),
    )
    return Answered(message, parts)


def told(timeline: Timeline) -> list[tuple[str, str, float | None]]:
    return [(stage.name, str(stage.progress), stage.gap_ms) for stage in timeline.stages]


def test_a_whole_way_has_seven_stages_with_the_milliseconds_between() -> None:
    sent = part(sent_at=at(830), delivered_at=at(900))
    timeline = of_inbound(said(), finished(), [answered(sent)])
    assert told(timeline) == [
        ("Received", "done", None),
        ("Stored", "done", 3.0),
        ("Pushed", "done", 2.0),
        ("Acknowledged", "done", 4.0),
        ("Replied", "done", 801.0),
        ("Sent", "done", 20.0),
        ("Delivered", "done", 70.0),
    ]
    assert timeline.total_ms == 900
    assert timeline.word == "Delivered"
    assert timeline.trouble is None


def test_what_has_not_happened_yet_is_pending() -> None:
    timeline = of_inbound(said(), envelope(state=EnvelopeState.NEW), [])
    assert [stage.progress for stage in timeline.stages] == [Progress.DONE] * 2 + [Progress.PENDING] * 5
    assert timeline.word == "Waiting for an agent"


def test_a_message_at_an_agent_says_so() -> None:
    timeline = of_inbound(said(), envelope(state=EnvelopeState.NEW, pushed_at=at(5)), [])
    assert timeline.word == "An agent has it"
    assert timeline.stages[2].gap_ms == 2


def test_a_message_set_aside_names_the_code_and_the_next_step() -> None:
    dead = envelope(
        state=EnvelopeState.DEAD, pushed_at=at(5), finished_at=at(99), error="AMX-3504: no agent finished it"
    )
    timeline = of_inbound(said(), dead, [])
    trouble = timeline.trouble
    assert trouble is not None
    assert (trouble.name, trouble.word, trouble.code) == ("Replied", "Set aside", "AMX-3504")
    assert trouble.note == "no agent finished it"
    assert "Answer it yourself" in trouble.next_step
    assert [stage.progress for stage in timeline.stages[5:]] == [Progress.NONE, Progress.NONE]


def test_an_agents_own_words_for_an_error_need_no_code() -> None:
    dead = envelope(state=EnvelopeState.DEAD, finished_at=at(99), error="out of memory")
    trouble = of_inbound(said(), dead, []).trouble
    assert trouble is not None
    assert (trouble.code, trouble.note) == ("", "out of memory")
    assert trouble.next_step


def test_an_agent_may_finish_in_silence() -> None:
    timeline = of_inbound(said(), finished(), [])
    assert timeline.word == "Finished without an answer"
    assert [stage.progress for stage in timeline.stages[5:]] == [Progress.NONE, Progress.NONE]


def test_a_part_that_failed_stops_the_way() -> None:
    failed = part(PartState.FAILED, error="AMX-2410: bot was blocked by the user")
    timeline = of_inbound(said(), finished(), [answered(part(sent_at=at(820)), failed)])
    assert timeline.word == "Not sent"
    assert timeline.trouble is not None
    assert timeline.trouble.code == "AMX-2410"
    assert timeline.stages[-1].progress is Progress.NONE


def test_a_part_that_was_given_up_promises_no_further_try() -> None:
    given_up = of_outgoing(answered(part(PartState.FAILED, error="AMX-2503: no connection"))).trouble
    waiting = of_outgoing(answered(part(PartState.READY, error="AMX-2503: no connection"))).stages[2]
    assert given_up is not None
    assert given_up.next_step == "Read the reason, then answer again."
    assert waiting.next_step == "Nothing to do: it is sent when the provider is back."


def test_nobody_pretends_to_know_about_an_unknown_part() -> None:
    timeline = of_inbound(
        said(), finished(), [answered(part(PartState.UNKNOWN, error="AMX-2504: no answer"))]
    )
    assert timeline.word == "May have been sent"
    assert timeline.trouble is not None
    assert "Look into the chat" in timeline.trouble.next_step


def test_a_part_that_is_tried_again_says_why_and_how_often() -> None:
    waiting = part(PartState.READY, error="AMX-2503: no connection", attempts=2)
    timeline = of_outgoing(answered(waiting))
    assert timeline.word == "Will be tried again"
    sent = timeline.stages[2]
    assert (sent.progress, sent.code, sent.note) == (Progress.PENDING, "AMX-2503", "no connection; tried 2 ×")


def test_a_message_in_parts_is_sent_when_the_last_part_is() -> None:
    parts = part(sent_at=at(820)), part(sent_at=at(850))
    assert of_outgoing(answered(*parts)).stages[2].at == at(850)
    parts = part(sent_at=at(820)), part(PartState.READY)
    assert of_outgoing(answered(*parts)).stages[2].progress is Progress.PENDING


def test_a_channel_without_receipts_leaves_nobody_waiting_for_them() -> None:
    timeline = of_outgoing(answered(part(sent_at=at(820))), receipts=False)
    assert timeline.stages[-1].progress is Progress.NONE
    assert timeline.stages[-1].note == "not reported by this channel"
    assert timeline.word == "Sent"


def test_a_colleagues_words_have_four_stages() -> None:
    timeline = of_outgoing(answered(part(sent_at=at(830), delivered_at=at(900))))
    assert [stage.name for stage in timeline.stages] == ["Written", "Stored", "Sent", "Delivered"]


def test_clocks_that_disagree_make_no_negative_gap() -> None:
    timeline = of_inbound(said(stored=-4), finished(pushed=-1), [])
    assert [stage.gap_ms for stage in timeline.stages[:4]] == [None, 0.0, 0.0, 9.0]


def test_an_event_replayed_without_an_envelope_has_stages_that_will_not_come() -> None:
    timeline = of_inbound(said(), None, [])
    assert [stage.progress for stage in timeline.stages[2:]] == [Progress.NONE] * 5
