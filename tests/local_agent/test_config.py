"""The agent's folder: what is written comes back, is private, and is explained when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_agent.backoff import Backoff
from local_agent.config import Config, Home, Settings, studio_url
from local_agent.errors import AgentError


def test_what_is_saved_comes_back(home: Home) -> None:
    config = Config(
        "https://studio.example.com",
        "a1",
        'Ann\'s "office" \\ höme',
        "Acme",
        Settings(documents="/d", credits=9),
    )
    home.save(config, "secret")
    assert home.config() == config
    assert home.token() == "secret"


def test_only_the_owner_can_read_it(home: Home) -> None:
    home.save(Config("https://studio.example.com", "a1", "x"), "secret")
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (home.path, home.token_file, home.config_file)
    }
    assert modes == {"agent": 0o700, "token": 0o600, "config.toml": 0o600}


def test_saving_again_replaces_both(home: Home) -> None:
    home.save(Config("https://one.example.com", "a1", "x"), "one")
    home.save(Config("https://two.example.com", "a2", "x"), "two")
    assert (home.config().studio, home.token()) == ("https://two.example.com", "two")


def test_the_home_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIMATRIX_HOME", str(tmp_path / "other"))
    assert Home().path == tmp_path / "other"


def test_before_pairing_it_says_how_to(home: Home) -> None:
    for ask in (home.config, home.token):
        with pytest.raises(AgentError, match="aimatrix pair CODE") as caught:
            ask()
        assert caught.value.code == "AMX-A01"


GOOD = 'studio = "https://s.example.com"\nagent_id = "a"\nname = "n"\n'
WRONG = [
    ("no TOML", "studio = ", "Invalid"),
    ("a key is missing", 'agent_id = "a"\nname = "n"\n', "studio"),
    ("an unknown key", GOOD + "colour = 1\n", "colour"),
    ("an unknown setting", GOOD + "[agent]\ncolour = 1\n", "colour"),
    ("a setting of the wrong type", GOOD + '[agent]\ncredits = "four"\n', "agent.credits must be a int"),
    ("a number for the address", GOOD.replace('"https://s.example.com"', "5"), "int"),
]


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_config_that_is_wrong_is_explained(home: Home, text: str, said: str) -> None:
    home.path.mkdir()
    home.config_file.write_text(text)
    with pytest.raises(AgentError) as caught:
        home.config()
    assert caught.value.code == "AMX-A02"
    assert said in caught.value.message


def test_a_whole_number_will_do_for_seconds(home: Home) -> None:
    home.path.mkdir()
    home.config_file.write_text(GOOD + "[agent]\ntimeout_s = 30\n")
    assert home.config().settings.timeout_s == 30.0


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://studio.example.com/", "https://studio.example.com"),
        (" http://127.0.0.1:8000/console/x ", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_is_taken_as_people_paste_it(typed: str, url: str) -> None:
    assert studio_url(typed) == url


@pytest.mark.parametrize("typed", ["studio.example.com", "ftp://x", "https://", "https://user:pw@host", ""])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(AgentError) as caught:
        studio_url(typed)
    assert caught.value.code == "AMX-A04"


@pytest.mark.parametrize(
    ("studio", "tunnel"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/tunnel"),
        ("https://http.example.com", "wss://http.example.com/tunnel"),
    ],
)
def test_the_tunnel_is_on_the_host_that_was_typed(studio: str, tunnel: str) -> None:
    assert Config(studio, "a", "n").tunnel_url == tunnel


def test_waits_double_up_to_a_minute_and_start_anew_after_a_stable_minute() -> None:
    backoff = Backoff(60.0, chance=lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.lasted(59.9)
    assert backoff.next() == 60
    backoff.lasted(60.0)
    assert backoff.next() == 1


def test_waits_are_spread_and_never_less_than_studio_asks() -> None:
    assert Backoff(60.0, chance=lambda: 0.0).next() == 0.5
    assert Backoff(60.0).next(at_least=30.0) == 30.0
