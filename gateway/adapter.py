"""What a channel must be able to do. Learn it from `channels/telegram/adapter.py`; every room has that shape.

An adapter is stateless plain Python: it is tested with bytes in and values out. What to do about failures, repeats,
order and limits is decided once, outside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from gateway.errors import BadConfig
from gateway.messages import Finding, Limits, Outbound, Parsed, Webhook

Config = TypeVar("Config", bound=msgspec.Struct)


class ChannelAdapter(ABC, Generic[Config]):
    kind: ClassVar[str]
    label: ClassVar[str]
    limits: ClassVar[Limits]
    config_type: type[Config]

    def config(self, given: Mapping[str, Any]) -> Config:
        """The typed configuration. Raises BadConfig, naming the field."""
        try:
            return msgspec.convert(dict(given), self.config_type)
        except msgspec.ValidationError as error:
            raise BadConfig(str(error)) from None

    def new_config(self, given: Mapping[str, Any]) -> Config:
        """The configuration of a channel being made: what the owner gave plus what we make up, such as secrets."""
        return self.config(given)

    def webhook_secret(self, config: Config) -> str | None:
        """What the provider must present, to be shown to the owner; None where there is nothing of the kind."""
        return None

    @abstractmethod
    def admit(self, config: Config, headers: Mapping[str, str]) -> None:
        """What the headers alone can prove, before the body is read. Raises BadSignature."""

    @abstractmethod
    def verify(self, config: Config, webhook: Webhook) -> None:
        """Raises BadSignature unless the provider itself sent exactly these bytes. Fails closed."""

    @abstractmethod
    def parse(self, config: Config, webhook: Webhook) -> Parsed:
        """Bytes → our words; pure, so that it can be repeated when it has learnt more. Raises BadPayload."""

    @abstractmethod
    async def send(self, config: Config, part: Outbound) -> str:
        """Hands one part to the provider and returns its id there. Raises SendError."""

    async def connect(self, config: Config, webhook_url: str) -> None:
        """Tells the provider where we listen. May be repeated. Raises SendError."""
        return None

    async def probe(self, config: Config, webhook_url: str) -> list[Finding]:
        """What is wrong between us and the provider now; empty when all is well. Raises SendError."""
        return []

    async def close(self) -> None:
        """Gives back what `send` keeps open in this event loop."""
        return None
