"""A close code says whether to come back."""

from __future__ import annotations

import pytest

from local_agent.protocol import CloseCode, reconnects

TERMINAL = {CloseCode.REVOKED, CloseCode.DISABLED, CloseCode.VERSION}


@pytest.mark.parametrize("code", CloseCode)
def test_only_the_terminal_codes_end_it(code: CloseCode) -> None:
    assert reconnects(code) is (code not in TERMINAL)


@pytest.mark.parametrize(
    ("code", "again"), [(1006, True), (4000, True), (4499, True), (4500, False), (4999, False)]
)
def test_a_code_we_do_not_know_is_obeyed_by_its_range(code: int, again: bool) -> None:
    assert reconnects(code) is again
