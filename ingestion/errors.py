"""What sources raise: failures in words. Imports nothing, so that a process that only parses is small."""


class SourceError(Exception):
    """A failure that the source understands.

    code: from the error catalogue or the source's own, [a-z_]. message: a sentence for the user.
    retryable: True when trying again later may help; False ends the job or the item at once.
    retry_after: seconds that the other side asked us to wait, at most an hour is honoured.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class NotPossible(Exception):
    """What a person asked for cannot be done. message: for them. field: which value is wrong, code: how."""

    def __init__(self, message: str, field: str = "", code: str = "invalid") -> None:
        super().__init__(message)
        self.message, self.field, self.code = message, field, code
