"""A stream gathers pieces into few frames, loses none, and can begin again."""

from __future__ import annotations

import asyncio

from local_agent.message import clean
from local_agent.stream import EVERY_S, MOST, Stream


class Viewer:
    """Sees an answer grow, as Studio does."""

    def __init__(self) -> None:
        self.text = ""
        self.frames = 0
        self.listens = True

    def see(self, at: int, text: str) -> bool:
        if self.listens:
            self.text = self.text[:at] + text
            self.frames += 1
        return self.listens


async def test_many_pieces_become_few_frames() -> None:
    viewer = Viewer()
    stream = Stream(viewer.see)
    for _ in range(60):
        stream.write("word ")
        await asyncio.sleep(0.005)
    await asyncio.sleep(2 * EVERY_S)
    assert viewer.text == stream.text == "word " * 60
    assert viewer.frames <= 0.6 / EVERY_S


async def test_the_first_piece_is_shown_at_once() -> None:
    viewer = Viewer()
    Stream(viewer.see).write("now")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert viewer.text == "now"


async def test_after_a_restart_the_viewer_sees_only_the_new_text() -> None:
    viewer = Viewer()
    stream = Stream(viewer.see)
    stream.write("half a thou")
    await asyncio.sleep(2 * EVERY_S)
    stream.restart()
    stream.write("whole")
    await asyncio.sleep(2 * EVERY_S)
    assert viewer.text == "whole"


async def test_a_viewer_that_was_away_gets_all_of_it() -> None:
    viewer = Viewer()
    stream = Stream(viewer.see)
    viewer.listens = False
    stream.write("a" * (MOST + 1))
    await asyncio.sleep(2 * EVERY_S)
    viewer.listens = True
    stream.show_again()
    stream.write("b")
    await asyncio.sleep(2 * EVERY_S)
    assert viewer.text == "a" * (MOST + 1) + "b"
    assert viewer.frames == 2


def test_text_is_cleaned_of_what_no_channel_can_show() -> None:
    assert clean("a\x00b\ud800c\u202ed\n\te\U000e0041") == "ab?cd\n\te"
