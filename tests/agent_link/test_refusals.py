"""How often an address may be refused before it must wait."""

from __future__ import annotations

import pytest

from agent_link import refusals
from agent_link.refusals import Refusals


def attempt(bucket: Refusals, address: str = "192.0.2.1") -> bool:
    """One more wrong guess; whether it was looked at."""
    if bucket.wait(address) > 0:
        return False
    bucket.count(address)
    return True


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(clock: Clock) -> Refusals:
    return Refusals(30, clock)


def test_who_guesses_is_looked_at_thirty_times_and_then_must_wait(bucket: Refusals) -> None:
    assert [attempt(bucket) for _ in range(32)] == [True] * 30 + [False] * 2
    assert bucket.wait("192.0.2.1") == pytest.approx(2.0), "until the next of thirty a minute"
    assert bucket.wait("192.0.2.2") == 0, "others are not kept waiting"


def test_of_ten_thousand_guesses_nearly_all_are_refused_unseen(bucket: Refusals, clock: Clock) -> None:
    looked_at = 0
    for _ in range(10_000):
        clock.now += 0.01  # a hundred a second
        looked_at += attempt(bucket)
    assert looked_at <= 100


def test_waiting_helps(bucket: Refusals, clock: Clock) -> None:
    for _ in range(30):
        attempt(bucket)
    clock.now += bucket.wait("192.0.2.1")
    assert attempt(bucket)
    assert not attempt(bucket)
    clock.now += 60
    assert [attempt(bucket) for _ in range(31)].count(True) == 30


def test_a_crowd_that_came_together_does_not_wait_for_hours(bucket: Refusals) -> None:
    for _ in range(1_000):
        bucket.count("192.0.2.1")
    assert bucket.wait("192.0.2.1") <= 2.0


def test_only_so_many_addresses_are_remembered(bucket: Refusals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those refused lately are: who has many addresses pushes out its own old ones first."""
    monkeypatch.setattr(refusals, "MOST_ADDRESSES", 3)
    for address in "abc":
        for _ in range(30):
            bucket.count(address)
    bucket.count("a")
    bucket.count("d")
    assert [bucket.wait(address) > 0 for address in "abc"] == [True, False, True]
