"""Web chat: visitors of a web page, over Studio's own WebSocket (`gateway.sockets`).

There is no provider in between: a visitor's page reads its conversation from the stored messages, so a part is sent
once it is stored as sent, and a page that was away finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from gateway.adapter import ChannelAdapter
from gateway.errors import BadSignature
from gateway.messages import Limits, Outbound, Parsed, Webhook

# Scheme and host, all subdomains by `*.`, a port where it is not the scheme's own. It goes into a
# Content-Security-Policy as it stands, so nothing else may pass.
ORIGIN = r"https?://(\*\.)?[A-Za-z0-9.-]+(:[0-9]{1,5})?"
Origin = Annotated[str, msgspec.Meta(pattern=rf"\A{ORIGIN}\Z", max_length=200)]


class WebChatConfig(msgspec.Struct, forbid_unknown_fields=True):
    """`origins`: the sites that may embed the chat; empty: any. `greeting`: shown before the first message."""

    origins: list[Origin] = []
    greeting: str = "Hello! How can we help?"
    suggestions: list[str] = []


class WebChat(ChannelAdapter[WebChatConfig]):
    kind = "webchat"
    label = "Web chat"
    limits = Limits(text=16_000, idempotent=True)
    config_type = WebChatConfig

    def __init__(self, settings: Any) -> None:
        pass

    def admit(self, config: WebChatConfig, headers: Mapping[str, str]) -> None:
        raise BadSignature("web chat has no webhook")

    def verify(self, config: WebChatConfig, webhook: Webhook) -> None:
        raise BadSignature("web chat has no webhook")

    def parse(self, config: WebChatConfig, webhook: Webhook) -> Parsed:
        raise BadSignature("web chat has no webhook")

    async def send(self, config: WebChatConfig, part: Outbound) -> str:
        return part.key
