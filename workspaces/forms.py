from __future__ import annotations

from django import forms
from django.contrib.auth.models import User


class SigninForm(forms.Form):
    """`name`: a user name or an e-mail address."""

    name = forms.CharField(
        label="Name or e-mail",
        max_length=254,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
        ),
    )
    password = forms.CharField(
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def username(self) -> str:
        """The user name meant; an e-mail address stands for it where it belongs to one person only."""
        name: str = self.cleaned_data["name"]
        if "@" not in name:
            return name
        owners = User.objects.filter(email__iexact=name).values_list("username", flat=True)[:2]
        return owners[0] if len(owners) == 1 else name
