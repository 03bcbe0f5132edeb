"""A service that speaks OpenAI's API, at the address that the operator set: its answers and its failures."""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from ingestion.outside_bodies import BadBody, TooLarge, asked_to_wait, client, unpacked
from ingestion.outside_connections import Clock, timed_transport
from ingestion.source import SourceError

LONGEST_WAIT = 3600.0  # seconds that the service may ask us to stay away


class OpenAIService:
    """One of its endpoints, to be asked by several threads.

    path: of the endpoint, "embeddings". code: with which the codes of failures begin. called: what it is in
    sentences, "The embedding service". seconds: for all of an answer, however steadily it drips.
    """

    def __init__(self, path: str, *, code: str, called: str, seconds: float) -> None:
        self._code, self._called, self._seconds = code, called, seconds
        self._url = f"{settings.OPENAI_URL.rstrip('/')}/{path}"
        self.host = urlsplit(self._url).hostname or ""
        key = {"Authorization": f"Bearer {settings.OPENAI_KEY}"} if settings.OPENAI_KEY else {}
        self._clock = Clock()
        self._client = client(httpx.Timeout(seconds), key, transport=timed_transport(self._clock))

    def ask(self, question: Any, most: int) -> bytes:
        """Return the answer to a question that is sent as JSON. most: bytes of it, unpacked.

        Raises SourceError `<code>_away`, `<code>_refused` or `<code>_answer`, retryable where asking again
        may help. Neither key nor address is in its text.
        """
        end = time.monotonic() + self._seconds
        self._clock.begin(self._seconds)
        try:
            with self._client.stream("POST", self._url, json=question) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise self._refused(answer)
                return b"".join(unpacked(answer, most, end - time.monotonic()))
        except TooLarge as error:
            raise self.misunderstood(f"{self._called}'s answer {error}.") from error
        except BadBody as error:
            text = f"{self._called}'s answer {error}."
            raise SourceError(f"{self._code}_away", text, retryable=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{self._called} does not answer."
            raise SourceError(f"{self._code}_away", text, retryable=True) from error

    def misunderstood(self, text: str, *, retryable: bool = False) -> SourceError:
        """Return the failure of an answer that cannot be used."""
        return SourceError(f"{self._code}_answer", text, retryable=retryable)

    def _refused(self, answer: httpx.Response) -> SourceError:
        status = answer.status_code
        text = f"{self._called} answered {status}."
        later = status in (408, 429) or status >= 500
        return SourceError(
            f"{self._code}_refused",
            text,
            retryable=later,
            retry_after=asked_to_wait(answer, LONGEST_WAIT) if later else None,
        )
