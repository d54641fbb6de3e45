"""The smallest handler: one question is answered here, the rest by the default brain."""

from __future__ import annotations

from local_agent import Context, MasterAgent, Message, Reply, on_message


class Shop(MasterAgent):
    documents = "shop"

    @on_message(channel="telegram")
    async def on_telegram(self, message: Message, context: Context) -> Reply:
        passages = context.search(message.text)
        return Reply(
            f"{message.contact_name}, see {passages[0].source}" if passages else "One moment, please."
        )
