"""Asking a service outside again: when that may help, how often, and after how long a wait."""

from typing import TYPE_CHECKING

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base, wait_exponential_jitter

from ingestion.source import SourceError

if TYPE_CHECKING:
    from ingestion.run import Run

TRIES = 4  # of one request
FIRST_WAIT, LONGEST_WAIT = 1.0, 20.0  # seconds between them
_backoff: wait_base = wait_exponential_jitter(initial=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT)


class Unavailable(SourceError):
    """A service did not answer, or not well; later it may."""

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(code, message, retryable=True, retry_after=retry_after)


class Paused(Unavailable):
    """A service asked us to be still for a while."""


def asking_again(job: "Run") -> Retrying:
    """Return what calls again as long as `Unavailable` is raised; while it waits the job hears a stop."""
    return Retrying(
        retry=retry_if_exception_type(Unavailable),
        stop=stop_after_attempt(TRIES),
        wait=_wait,
        sleep=job.sleep,
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Paused):
        return 0  # the pause itself is waited out before the next request
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return max(_backoff(state), min(asked or 0.0, LONGEST_WAIT))
