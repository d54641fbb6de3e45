"""What people fill in: an answer, a new channel."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from gateway.channels.webchat.adapter import ORIGIN, WebChatConfig

LONGEST_ANSWER = 16_000
MOST_SUGGESTIONS, LONGEST_SUGGESTION = 5, 80


class AnswerForm(forms.Form):
    text = forms.CharField(
        label="Your answer",
        max_length=LONGEST_ANSWER,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "Write an answer…"}),
    )


class NewChannelForm(forms.Form):
    """`kind` is the adapter's; `config` what its `new_config` takes."""

    kind: str
    name = forms.CharField(max_length=80, help_text="For you and your colleagues.")

    def config(self) -> dict[str, Any]:
        return {key: value for key, value in self.cleaned_data.items() if key != "name"}


class NewTelegramForm(NewChannelForm):
    kind = "telegram"
    bot_token = forms.CharField(
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="From @BotFather: /newbot, or /token for a bot that you have. Kept encrypted.",
    )


class Lines(forms.CharField):
    """A list, one item to a line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class NewWebchatForm(NewChannelForm):
    kind = "webchat"
    greeting = forms.CharField(
        max_length=300,
        initial=WebChatConfig().greeting,
        help_text="Stands above an empty chat.",
    )
    suggestions = Lines(
        required=False, help_text="First questions to choose from, one to a line; five at most."
    )
    origins = Lines(
        required=False,
        label="Sites",
        help_text="Which sites may show the chat, one to a line: https://www.example.com. Empty: any.",
    )

    def clean_suggestions(self) -> list[str]:
        lines: list[str] = self.cleaned_data["suggestions"]
        if len(lines) > MOST_SUGGESTIONS or any(len(line) > LONGEST_SUGGESTION for line in lines):
            raise forms.ValidationError(
                f"At most {MOST_SUGGESTIONS} lines of {LONGEST_SUGGESTION} characters."
            )
        return lines

    def clean_origins(self) -> list[str]:
        lines: list[str] = [line.rstrip("/") for line in self.cleaned_data["origins"]]
        for line in lines:
            if not re.fullmatch(ORIGIN, line):
                raise forms.ValidationError(
                    f"“{line}” is not a site. Write scheme and host only: https://www.example.com"
                )
        return lines
