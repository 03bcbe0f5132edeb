"""One file that holds an instance: the database's dump and every stored file.

A tar: `files/0`, `files/1` ..., `database.dump`, and at the end `manifest.json`, which names each with size
and SHA-256. An archive that was cut off has no manifest; names inside the tar lead nowhere by themselves.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.core.files.storage import default_storage

FORMAT = 1
MAX_MANIFEST = 1 << 28  # bytes: two million files
MAX_PATH = 255
PIECE = 1 << 20
DUMP, MANIFEST = "database.dump", "manifest.json"
_NAME = re.compile(r"files/(0|[1-9][0-9]{0,8})|database\.dump|manifest\.json")


class ArchiveError(Exception):
    """A file is no archive of ours, or not as it was written; the text says what is wrong."""


@dataclass(frozen=True)
class Member:
    """A file in the archive. path: its name in the storage; empty for one that changed while it was read."""

    path: str
    size: int
    sha256: str


@dataclass
class Manifest:
    """What an archive holds, and of which versions.

    server, tools: major versions of PostgreSQL. key: the fingerprint of the secret key.
    """

    format: int
    made_at: str
    server: int
    tools: int
    migrations: list[list[str]]
    key: str
    dump: Member
    files: list[Member] = field(default_factory=list)


class Writer:
    """Writes an archive: files, the dump, files again that came meanwhile, the manifest."""

    def __init__(self, target: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=target, mode="w", format=tarfile.PAX_FORMAT)
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._places: dict[str, int] = {}
        self.files: list[Member] = []

    def add_files(self) -> None:
        """Add every stored file that is not in the archive as it is now.

        Called before and after the dump: a file that the dump speaks of was there at one of the two times,
        and one that was still being written the first time is added again.
        """
        for path in stored():
            try:
                state = (default_storage.size(path), default_storage.get_modified_time(path))
                if self._seen.get(path) == state:
                    continue
                with default_storage.open(path, "rb") as file:
                    member = self._add(f"files/{len(self.files)}", path, file, state[0])
            except FileNotFoundError:  # deleted, with its row
                continue
            if path in self._seen:  # as it was before it changed
                before = self._places[path]
                self.files[before] = replace(self.files[before], path="")
            self._places[path] = len(self.files)
            self.files.append(member)
            self._seen[path] = state

    def add_dump(self, path: Path) -> Member:
        """Add the database's dump."""
        with path.open("rb") as file:
            return self._add(DUMP, DUMP, file, path.stat().st_size)

    def close(self, manifest: Manifest) -> None:
        """Write what the archive holds, and end it."""
        content = json.dumps(asdict(manifest)).encode()
        self._add(MANIFEST, MANIFEST, io.BytesIO(content), len(content))
        self._tar.close()

    def _add(self, name: str, path: str, file: IO[bytes], size: int) -> Member:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        reading = _Hashing(file, size)
        self._tar.addfile(info, reading)
        return Member(path if reading.whole else "", size, reading.sha256.hexdigest())


class _Hashing:
    """Reads exactly so many bytes and hashes them; a file that became shorter meanwhile is filled up."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self.sha256 = hashlib.sha256()
        self.whole = True

    def read(self, size: int = -1) -> bytes:
        """Return the next piece."""
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._file.read(wanted)
        if len(piece) < wanted:
            self.whole = False
            piece += bytes(wanted - len(piece))
        self._left -= wanted
        self.sha256.update(piece)
        return piece


class Reader:
    """Reads an archive, all of which was checked when this is made. Raises ArchiveError."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path, mode="r:")  # noqa: SIM115 - closed by `close`
            self._infos: dict[str, tarfile.TarInfo] = {}  # by name: tarfile would look through all of them
        except (OSError, tarfile.TarError) as error:
            raise ArchiveError(f"{path} cannot be read as a backup: {_reason(error)}.") from error
        try:
            self.manifest = self._check()
        except (OSError, tarfile.TarError) as error:
            raise ArchiveError(f"{path} is damaged: {_reason(error)}.") from error
        except ArchiveError as error:
            raise ArchiveError(f"{path} {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._tar.close()

    def files(self) -> Iterator[tuple[Member, str]]:
        """Return the stored files and their names in the tar."""
        for number, member in enumerate(self.manifest.files):
            if member.path:
                yield member, f"files/{number}"

    def open(self, name: str) -> IO[bytes]:
        """Open one file of the archive."""
        found = self._tar.extractfile(self._infos[name])
        assert found is not None  # `_check` has seen that it is a plain file
        return found

    def _check(self) -> Manifest:
        found: dict[str, tuple[int, str]] = {}
        content = b""
        for info in self._tar:
            if info.name in found or not _NAME.fullmatch(info.name):
                raise ArchiveError(f"is no backup of Headway: it holds {info.name[:80]!r}.")
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise ArchiveError(f"is no backup of Headway: {info.name} is not a plain file.")
            self._infos[info.name] = info
            found[info.name] = (info.size, digest(self.open(info.name)))
            if info.name == MANIFEST:
                if info.size > MAX_MANIFEST:
                    raise ArchiveError("is no backup of Headway: its list is too long.")
                content = self.open(MANIFEST).read()
        if not content:
            raise ArchiveError("is not whole: its end is missing.")
        manifest = _parse(content)
        del found[MANIFEST]
        listed = {f"files/{number}": member for number, member in enumerate(manifest.files)}
        listed[DUMP] = manifest.dump
        if listed.keys() != found.keys():
            raise ArchiveError("is damaged: it does not hold what it lists.")
        for name, member in listed.items():
            if found[name] != (member.size, member.sha256):
                raise ArchiveError(f"is damaged: {name} is not as it was written.")
        return manifest


def stored(folder: str = "") -> Iterator[str]:
    """Return the name of every file in the storage."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(files):
        yield f"{folder}/{name}" if folder else name
    for name in sorted(folders):
        yield from stored(f"{folder}/{name}" if folder else name)


def digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a file."""
    sha256 = hashlib.sha256()
    while piece := file.read(PIECE):
        sha256.update(piece)
    return sha256.hexdigest()


def fingerprint(key: str) -> str:
    """Return by what a secret key is known without being told."""
    return hashlib.sha256(f"headway.backup:{key}".encode()).hexdigest()[:16]


def _parse(content: bytes) -> Manifest:
    try:
        values = json.loads(content)
        if values["format"] != FORMAT:
            raise ArchiveError(f"has format {values['format']}; this Headway reads format {FORMAT}.")
        values["dump"] = Member(**values["dump"])
        values["files"] = [Member(**one) for one in values["files"]]
        manifest = Manifest(**values)
        datetime.fromisoformat(manifest.made_at)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ArchiveError("is damaged: its list cannot be read.") from error
    paths = [member.path for member in manifest.files if member.path]
    if len(set(paths)) < len(paths) or not all(_leads_inside(path) for path in paths):
        raise ArchiveError("is no backup of Headway: it names a file outside the storage, or one twice.")
    return manifest


def _leads_inside(path: Any) -> bool:
    """Say whether a name stays inside the storage's folder, whatever it is joined with."""
    if not isinstance(path, str) or len(path) > MAX_PATH or not path.isprintable() or "\\" in path:
        return False
    parts = PurePosixPath(path).parts
    return "/".join(parts) == path and not path.startswith("/") and not {".", ".."} & set(parts)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
