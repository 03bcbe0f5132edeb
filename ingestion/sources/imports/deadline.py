"""An end to what a person waits for in the database, however many statements it takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection
from psycopg.errors import QueryCanceled
from psycopg.pq import TransactionStatus

from ingestion.source import SourceError


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let all statements inside take so long together, whatever the session allows each. In a transaction.

    Raises SourceError too_slow; the transaction is then to be rolled back.
    """
    end = time.monotonic() + seconds

    def limited(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        own = context["connection"].connection
        # After an error only the way back to a savepoint is taken: another word would hide that error.
        if own.info.transaction_status != TransactionStatus.INERROR:
            left = max(1, int((end - time.monotonic()) * 1000))
            own.execute(f"SET LOCAL statement_timeout = {left}")
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(limited):
            yield
    except (OperationalError, QueryCanceled) as error:  # the latter as psycopg says it of `own`
        if QueryCanceled not in (type(error), type(error.__cause__)):
            raise
        text = "This takes too long here, so nothing was changed. Correct the file and send it again."
        raise SourceError("too_slow", text) from error
