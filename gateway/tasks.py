"""Celery doors of the gateway."""

from __future__ import annotations

from datetime import timedelta

from asgiref.sync import async_to_sync
from celery import shared_task
from django.utils import timezone

from gateway.connecting import probe
from gateway.models import Channel, ChannelState, InboundEvent

RAW_PAYLOADS_KEPT = timedelta(days=30)


@shared_task
def forget_old_payloads() -> int:
    """Empties raw payloads past their retention; the event itself stays, to know repeats by. Returns how many."""
    old = InboundEvent.objects.filter(received_at__lt=timezone.now() - RAW_PAYLOADS_KEPT).exclude(payload="")
    return old.update(payload="")


@shared_task
def probe_channels() -> int:
    """Asks each provider whether it still reaches us. Returns how many channels need attention."""
    channels = Channel.objects.exclude(state=ChannelState.DISABLED).exclude(kind="webchat")
    return sum(bool(async_to_sync(probe)(channel)) for channel in channels)
