"""What can go wrong, by exit code. A message is one line: what is wrong, and what to do."""


class VAEError(Exception):
    """Something failed while it was being done."""

    exit_code = 1


class UsageError(VAEError):
    """Something was typed or configured that cannot be done."""

    exit_code = 2


class InterruptedRunError(VAEError):
    """A signal asked to stop; what was learned is saved."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class NonFiniteLossError(VAEError):
    """The loss became infinite or not a number."""

    exit_code = 3
