"""Why an attempt ends before its code does."""

POLL_SECONDS = 0.2  # how soon a waiting attempt hears that it should stop


class Interrupt(BaseException):
    """Why an attempt must end now. No Exception: an author's `except Exception` must not swallow it."""


class Cancelled(Interrupt):
    """Somebody asked for it."""


class Fenced(Interrupt):
    """The lease is somebody else's: nothing may be written any more."""


class Released(Interrupt):
    """The worker was told to stop: the job goes on elsewhere."""


class Waiting(Interrupt):
    """A person must answer first."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind)
        self.kind, self.text = kind, text
