"""Every error that Tripoint raises on purpose.

TripointError
├── BadInput            the sender must change something; sending it again as it is cannot help
│   ├── Undecodable     the body is not what its headers say
│   ├── TooLarge        the body is over the limit
│   └── BadQuestion     a reader asked for something that does not exist
├── Unauthenticated     no key, or one that is unknown, expired or revoked
├── Forbidden           the key's role does not reach that far
├── NotFound            no such thing in this project
├── TooManyAttempts     too many wrong passwords; the same may be tried after a wait
├── Overloaded          the queue is full; the same call may go through later
├── Unavailable         the database or broker cannot be reached; try again later
└── SetupError          the operator must change a setting or the machine
"""

from __future__ import annotations

from typing import ClassVar


class TripointError(Exception):
    """Something went wrong in Tripoint."""

    retryable: ClassVar[bool] = False
    retry_after_s: int = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class BadInput(TripointError):
    """The input cannot be used as it is."""


class Undecodable(BadInput):
    """The body is not what its headers say."""


class TooLarge(BadInput):
    """The body is over the size limit."""


class BadQuestion(BadInput):
    """The question names something that does not exist."""


class Unauthenticated(TripointError):
    """Send a valid key as `Authorization: Bearer KEY`."""


class Forbidden(TripointError):
    """This key's role does not allow that."""


class NotFound(TripointError):
    """There is no such thing in this project."""


class TooManyAttempts(TripointError):
    """Too many attempts to sign in; wait and try again."""

    retryable = True

    def __init__(self, message: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(TripointError):
    """The intake queue is full; send the same request again later."""

    retryable = True

    def __init__(self, message: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(TripointError):
    """The database cannot be reached just now; send the same request again later."""

    retryable = True


class SetupError(TripointError):
    """A setting or the machine must change before this can work."""
