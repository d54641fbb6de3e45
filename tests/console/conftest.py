from __future__ import annotations

from tests.people import (  # noqa: F401
    agent,
    alice,
    as_alice,
    as_bob,
    as_charlie,
    as_vera,
    bob,
    bot,
    channel,
    charlie,
    vera,
    workspace,
)
