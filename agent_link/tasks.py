"""Celery doors of the tunnel."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from agent_link.models import PairingCode


@shared_task
def forget_used_codes() -> int:
    """Deletes pairing codes a day after they ended. Returns how many."""
    return PairingCode.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)).delete()[0]
