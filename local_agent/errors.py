"""What can go wrong on this computer, said so that its owner knows what to do next."""

from __future__ import annotations


class AgentError(Exception):
    """`code` is stable, for searching and for scripts; `next_step` is a sentence for the owner."""

    exit_code = 1

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} ({self.code})\n{self.next_step}"

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "title": self.message, "next_step": self.next_step}


class Refused(AgentError):
    """The Studio does not want this agent (any more): dialing again would not help."""

    exit_code = 3
