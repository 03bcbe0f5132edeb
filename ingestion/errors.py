"""What a source raises: a failure in words. Imports nothing, so that a process that only parses is small."""


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
