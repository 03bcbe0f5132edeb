"""Structured logs: one line an event, for eyes or as JSON, ours and everybody else's alike."""

import logging.config
import re
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

# Loud about each request or query at INFO, or (daphne) about each connection.
QUIET = ("uvicorn.access", "uvicorn.error", "daphne", "asyncio", "httpx", "django.server")


Event = MutableMapping[str, Any]
_told: dict[str, Callable[[], str | None]] = {}


def tell(name: str, ask: Callable[[], str | None]) -> None:
    """Have every line say what a function knows, unless the line itself says it. Called when apps are ready.

    ask: returns None while there is nothing to say; it is called for each line, in any thread.
    """
    _told[name] = ask


def _with_what_is_known(logger: Any, method: str, event: Event) -> Event:
    for name, ask in _told.items():
        if name not in event and (known := ask()) is not None:
            event[name] = known
    return event


# What stands in an address and opens something: links of mails, and a token where none may be.
_OPENS = re.compile(r"((?:/signin/(?:link|password)|/unsubscribe)/|[?&](?:access_)?token=)[^\s\"'&<>]+")


def _without_secrets(logger: Any, method: str, event: Event) -> Event:
    event.pop("request", None)  # Django's own: its text is the whole address
    for name, value in event.items():
        if isinstance(value, str) and "/" in value:
            event[name] = _OPENS.sub(r"\1...", value)
    return event


def _in_short(logger: Any, method: str, event: Event) -> Event:
    # Anybody may send a host that is not ours: where in Django it was refused says nothing, in many lines.
    if event.get("logger", "").startswith("django.security"):
        event.pop("exc_info", None)
    # Each process says each second that Redis is away: where in redis-py it was noticed says nothing either.
    elif event.get("logger") == "channels_redis.pubsub" and (why := _of_redis(event.get("exc_info"))):
        event.pop("exc_info")
        event.update(level="warning", error=why)
    return event


def _of_redis(exc_info: Any) -> str:
    from redis import RedisError  # loaded already, where this logger speaks

    error = exc_info[1] if isinstance(exc_info, tuple) else None
    # uvloop's, of a connection that was closed
    closed = isinstance(error, RuntimeError) and "handler is closed" in str(error)
    return f"{type(error).__name__}: {error}" if closed or isinstance(error, RedisError | OSError) else ""


def _in_one_line(logger: Any, method: str, event: Event) -> Event:
    # JSON does it by itself. What others log may hold what somebody sent: it must not begin a line.
    event["event"] = str(event["event"]).replace("\r", r"\r").replace("\n", r"\n")
    return event


def configure(level: str, form: str) -> None:
    """Send all logs to stderr. form: console or json."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _with_what_is_known,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _in_short,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        render: list[Any] = [structlog.processors.JSONRenderer()]
    else:
        # Plain: the rich form prints local variables, and with them secrets (SEC72).
        render = [
            _in_one_line,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        _without_secrets,  # of what was raised too
                        *render,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "config.log_floods.Bounded", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in QUIET},
        }
    )
