"""What can go wrong between us and a provider, in our words. Adapters raise; `gateway.outbox` alone decides."""

from __future__ import annotations


class BadSignature(Exception):
    """The caller did not prove to be the provider. Answered 403, without saying why."""


class BadPayload(Exception):
    """The body is not even in the provider's format. Answered 400."""

    code = "AMX-2400"


class BadConfig(Exception):
    """A channel cannot work as configured; the text says which field and what to do."""

    code = "AMX-2110"


class SendError(Exception):
    """A part was not sent. `retryable`: trying again may help; `detail` never holds a credential."""

    code = "AMX-2500"
    retryable = False

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class Throttled(SendError):
    """The provider asks us to slow down, for `retry_after` seconds where it says so."""

    code = "AMX-2429"
    retryable = True


class ProviderAway(SendError):
    """The provider was not reached, or failed before taking the part. Nothing was sent."""

    code = "AMX-2503"
    retryable = True


class Ambiguous(SendError):
    """The call went out and no answer came: the part may have been sent. It is not sent again by itself."""

    code = "AMX-2504"


class Refused(SendError):
    """The provider will not take this part, now or later."""

    code = "AMX-2422"


class Unreachable(SendError):
    """The person blocked us or is gone."""

    code = "AMX-2410"


class ConfigRefused(SendError):
    """The provider does not accept our credentials. The channel needs its owner; the part waits."""

    code = "AMX-2401"
    retryable = True
