"""What goes wrong with a foreign system, as far as it makes a difference to what is done next.

::

    SystemError
     ├── Unreachable   no answer at all
     ├── Denied        no trust: credentials, rights, certificate; somebody has to act
     ├── Unsuitable    not the system, or not the version, that was expected; somebody has to act
     ├── Uncertain     a write that may or may not have been carried out: read before anything else is done
     ├── Throttled     the system asks for patience
     └── Rejected      this one request can never be done

Texts are for people and never hold what was sent, nor what came back but for a system's own sentence.
"""

from __future__ import annotations

from ..api.reasons import Reason


class SystemError(Exception):
    """The system did not do what it was asked; ``reason`` is a condition reason."""

    reason = Reason.SYSTEM_FAILED


class Unreachable(SystemError):
    """No answer. The tunnels go on as they are."""

    reason = Reason.SYSTEM_UNREACHABLE


class Denied(SystemError):
    """The system does not let us in, or we do not trust it."""

    reason = Reason.SYSTEM_REFUSED


class Unsuitable(SystemError):
    """Something answers that cannot be worked with."""

    reason = Reason.SYSTEM_UNSUITABLE


class InUse(SystemError):
    """Another server works with the system."""

    reason = Reason.SYSTEM_IN_USE


class NoCredentials(SystemError):
    """The Secret to log in with is not there, or not complete."""

    reason = Reason.SECRET_NOT_FOUND


class Uncertain(SystemError):
    """The request may or may not have been carried out; without an answer it may still be under way."""

    def __init__(self, message: str, *, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


class Throttled(SystemError):
    """Too many requests; try again after ``seconds``."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Rejected(SystemError):
    """The request is wrong; trying again does not help."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
