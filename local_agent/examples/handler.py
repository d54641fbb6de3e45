"""The five-line handler: one wish is answered here, all else by the default brain."""

from __future__ import annotations

from local_agent import Context, Message, Outcome, Reply


async def handle(message: Message, context: Context) -> Outcome:
    if "human" in message.text.lower():
        return Reply("I am fetching a colleague for you.", handoff=True)
    return context.answer()
