"""Connecting a channel with its provider, and asking whether the connection still holds."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from agent_link.bus import bus
from gateway.errors import ConfigRefused, SendError
from gateway.messages import Finding
from gateway.models import Channel, ChannelState
from gateway.registry import adapter, config_of, webhook_url


async def connect(channel: Channel) -> list[Finding]:
    """Tells the provider where we listen and notes the outcome on the channel; empty when it worked."""
    try:
        await adapter(channel.kind).connect(config_of(channel), webhook_url(channel))
    except SendError as error:
        return await _note(channel, [_finding(error)])
    return await _note(channel, [])


async def probe(channel: Channel) -> list[Finding]:
    """What is wrong between us and the provider now, noted on the channel."""
    try:
        findings = await adapter(channel.kind).probe(config_of(channel), webhook_url(channel))
    except SendError as error:
        findings = [_finding(error)]
    return await _note(channel, findings)


def _finding(error: SendError) -> Finding:
    if error.retryable and not isinstance(error, ConfigRefused):
        return Finding(f"{error.code}: {error.detail}", "press Connect again in a moment")
    return Finding(f"{error.code}: {error.detail}", "check the credentials, then press Connect")


async def _note(channel: Channel, findings: list[Finding]) -> list[Finding]:
    channel.state = ChannelState.ERROR if findings else ChannelState.ACTIVE
    channel.state_detail = "; ".join(f"{f.trouble} — {f.next_step}" for f in findings)[:200]
    await sync_to_async(channel.save)(update_fields=["state", "state_detail"])
    bus.publish("channels", {"channel": channel.pk.hex})
    return findings
