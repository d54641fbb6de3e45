"""How points in time and spans are shown. The page's script says the same in the reader's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def moment(at: datetime | None, form: str = "ago") -> SafeString | str:
    """A `<time>`. `form`: `ago` (4 min) or `clock` (07:03:04.123)."""
    if at is None:
        return "—"
    at = at.astimezone(UTC)
    shown = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}" if form == "clock" else ago(at, timezone.now())
    return format_html(
        '<time datetime="{}" data-form="{}" title="{} UTC">{}</time>',
        at.isoformat(),
        form,
        at.strftime("%Y-%m-%d %H:%M:%S"),
        shown,
    )


def ago(at: datetime, now: datetime) -> str:
    """How long `at` is past, in a word or two; older than a week, its date."""
    seconds = (now - at).total_seconds()
    if seconds < 60:
        return "now"
    if seconds < 3_600:
        return f"{seconds // 60:.0f} min"
    if seconds < 86_400:
        return f"{seconds // 3_600:.0f} h"
    if seconds < 7 * 86_400:
        return f"{seconds // 86_400:.0f} d"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"


@register.filter
def span(milliseconds: float | None) -> str:
    """12.4 → `12 ms`; 1 240 → `1.24 s`; 75 000 → `1 min 15 s`."""
    if milliseconds is None:
        return ""
    if milliseconds < 1:
        return "<1 ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    if seconds < 3_600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3_600:.0f} h {seconds % 3_600 // 60:.0f} min"
