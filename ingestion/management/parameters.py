"""`key=value` on a command line becomes the params of a source; a file's value is a path."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.core.management.base import CommandError
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from config.problems import Problem, field_errors, from_errors
from ingestion import uploads
from ingestion.management.terminal import usage
from ingestion.source import Source, find, registry, upload_fields

STDIN = "-"
Progress = Callable[[int], None]  # told how many bytes more were read


def find_source(kind: str) -> Source:
    """Return a source by its name. Raises CommandError."""
    source = find(kind)
    if source is None:
        raise CommandError(f"No source {kind}. Known: {', '.join(sorted(registry()))}.")
    return source


def read_pairs(words: Sequence[str]) -> dict[str, list[str]]:
    """Return the values given for each name, in their order. Raises CommandError."""
    pairs: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            usage(f"{word}: Use name=value.")
        pairs.setdefault(name, []).append(value)
    return pairs


def params_of(source: Source, pairs: dict[str, list[str]]) -> dict[str, Any]:
    """Return the params as given, without the files. Raises CommandError for a name given twice."""
    files = upload_fields(source.params)
    params: dict[str, Any] = {}
    for name, values in pairs.items():
        if name in files:
            if len(values) > 1:
                usage(f"{name} is given twice.")
            continue
        params[name] = _value(source.params.model_fields.get(name), name, values)
    return params


def check(source: Source, params: dict[str, Any], files: Iterable[str] = ()) -> None:
    """Refuse params that the source does not take; `files` will be stored later. Raises Problem."""
    coming = {name: str(UUID(int=0)) for name in upload_fields(source.params) if name in files}
    try:
        source.params.model_validate(params | coming)
    except ValidationError as error:
        raise from_errors(field_errors(error.errors(include_url=False))) from error


@contextmanager
def stored_files(
    source: Source, owner: Any, pairs: dict[str, list[str]], progress: Any
) -> Iterator[dict[str, str]]:
    """Store the files named by path and give their ids by field; what is refused then is not kept.

    progress: a context manager of (name, size or None) that gives what is told of bytes read.
    """
    with ExitStack() as stack:
        kept = {
            name: stack.enter_context(uploads.given_to_a_job(store(source, owner, pairs[name][0], progress)))
            for name in upload_fields(source.params)
            if name in pairs
        }
        yield {name: str(one.pk) for name, one in kept.items()}


def store(source: Source, owner: Any, path: str, progress: Any) -> Any:
    """Store one file, or what comes on stdin. Raises CommandError, Problem."""
    with opened(path, uploads.max_bytes(source)) as (file, size):
        name = "stdin" if path == STDIN else Path(path).name
        with progress(name, size) as tell:
            return uploads.store(owner, name, _Told(file, tell), source=source)


class _Told:
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], tell: Progress) -> None:
        self._file, self._tell = file, tell

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        piece = self._file.read(size)
        self._tell(len(piece))
        return piece


@contextmanager
def opened(path: str, limit: int) -> Any:
    """Open a file, or stdin, and give it with its size, None where nobody knows. limit: most bytes.

    Raises CommandError for what is no file that can be read, Problem file_too_large.
    """
    if path == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        if Path(path).is_dir():
            raise CommandError(f"{path}: is a directory.")
        with Path(path).open("rb") as file:
            facts = os.fstat(file.fileno())
            size = facts.st_size if stat.S_ISREG(facts.st_mode) else None
            if (size or 0) > limit or _endless(file, facts.st_mode):
                raise Problem("file_too_large", n=limit // uploads.MEGABYTE)
            yield file, size
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if getattr(error, "filename", None) is None and not isinstance(error, ValueError):
            raise
        raise CommandError(f"{path}: {getattr(error, 'strerror', None) or 'is not a path'}.") from error


def _endless(file: IO[bytes], mode: int) -> bool:
    """Say whether a device would be read for ever: any but a terminal and those that are empty."""
    if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) or file.isatty():
        return False
    return bool(file.read(1))


def _value(info: FieldInfo | None, name: str, values: Sequence[str]) -> Any:
    if info is None:
        return values[-1]  # unknown: the source says so
    many = any(word in str(info.annotation) for word in ("list[", "set[", "tuple["))
    if any(word in str(info.annotation) for word in ("list[", "dict[", "set[", "tuple[")):
        if len(values) == 1 and values[0][:1] in ("[", "{"):
            try:
                return json.loads(values[0])
            except ValueError:
                pass  # a text that begins with a bracket
        if many:
            return [value for value in values if value]
    if len(values) > 1:
        usage(f"{name} is given twice.")
    return values[0]
