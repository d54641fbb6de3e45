from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from studio.env import DECLARED, Declared
from studio.management.commands.docs import BEGIN, END, as_shipped, env_example, unexplained, with_table

ROOT = Path(__file__).parent.parent


def test_pages_and_code_are_in_step() -> None:
    call_command("docs", check=True)


def test_the_table_is_the_same_whatever_this_process_was_started_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = as_shipped(ROOT)
    for name, value in (
        ("STUDIO_URL", "https://a.example"),
        ("STUDIO_VAR", str(tmp_path)),
        ("LOG_LEVEL", "DEBUG"),
    ):
        monkeypatch.setenv(name, value)
    given, known = dict(os.environ), list(DECLARED)
    assert as_shipped(ROOT) == shipped
    assert dict(os.environ) == given
    assert known == DECLARED
    assert not list(tmp_path.iterdir())


def test_no_path_of_this_computer_and_no_secret_is_printed() -> None:
    printed = str(as_shipped(ROOT))
    assert str(ROOT) not in printed
    assert Declared("VAULT_KEY", "made on first run", "encrypts channel credentials at rest") in as_shipped(
        ROOT
    )


def test_the_table_stands_between_its_markers_and_nothing_else_changes() -> None:
    page = with_table(
        f"# A\n{BEGIN}\nold\n{END}\nend\n", [Declared("A", "", "this | that"), Declared("B", "7", "b")]
    )
    assert page == (
        f"# A\n{BEGIN}\n| setting | default | meaning |\n|---|---|---|\n"
        f"| `A` | empty | this \\| that |\n| `B` | `7` | b |\n{END}\nend\n"
    )
    assert with_table(page, [Declared("A", "", "this | that"), Declared("B", "7", "b")]) == page


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(CommandError, match="lacks"):
        with_table("# A\n", [])


def test_the_example_leaves_each_setting_as_it_is() -> None:
    example = env_example(as_shipped(ROOT))
    assert all(not line or line.startswith("#") for line in example.splitlines())
    assert "#VAULT_KEY=\n" in example


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    def make(page: str, code: str) -> list[str]:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "errors.md").write_text(page)
        (tmp_path / "studio").mkdir()
        (tmp_path / "studio" / "a.js").write_text(code)
        return list(unexplained(tmp_path))

    return make


def test_a_code_that_nobody_explains_is_told(tree: Any) -> None:
    assert tree("| `AMX-1000` | a | b | c |", "throw 'AMX-1000', 'AMX-1001'") == [
        "docs/errors.md does not explain AMX-1001"
    ]


def test_an_explanation_of_nothing_is_told(tree: Any) -> None:
    told = ["docs/errors.md explains AMX-1002, which is nowhere"]
    assert tree("| `AMX-1002` | a | b | c |\nAMX-1003 in passing", "") == told
