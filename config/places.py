"""Where an instance lives: its folders, each with the least rights that work, and its sockets."""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_MAX = 107  # bytes in sockaddr_un, less the closing NUL
POSTGRES_SOCKET = ".s.PGSQL.5432"


class ServiceError(Exception):
    """A service cannot run here; the text says why and what to do."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of an instance live.

    data: what `--data` named.
    home: holds the cluster and the copied binaries; is `data` unless nobody could not enter it.
    sockets: holds the unix sockets; short enough for the kernel.
    """

    data: Path
    home: Path
    sockets: Path

    @property
    def cluster(self) -> Path:
        return self.home / "postgres"

    @property
    def valkey(self) -> Path:
        return self.data / "valkey"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def database_url(self) -> str:
        return f"postgres://headway@{quote(str(self.sockets), safe='')}/headway"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.valkey_socket}?db=0"


def layout(data: Path) -> Layout:
    """Tell where the instance of a data folder lives. The same answer for every command, nothing is made."""
    data = data.absolute()
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    short = Path("/var/tmp") / f"headway-{digest}"  # nosec B108 - _private_folder checks its owner
    home = short if is_root() and not _others_may_enter(data) else data
    sockets = home / "run"
    longest = max(len(os.fsencode(sockets / name)) for name in (POSTGRES_SOCKET + ".lock", "valkey.sock"))
    return Layout(data, home, sockets if longest <= SOCKET_PATH_MAX else short / "run")


def is_root() -> bool:
    """Tell whether this process may do everything."""
    return os.geteuid() == 0


def _others_may_enter(folder: Path) -> bool:
    """Tell whether every existing parent of `folder` lets any user through."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.parents if parent.exists())


def prepare(place: Layout) -> None:
    """Make the folders, each with the least rights that work."""
    open_mode = 0o711 if is_root() else 0o700
    for folder in dict.fromkeys([place.data, place.home, place.sockets.parent]):
        _private_folder(folder, open_mode)
    owner = postgres_user()
    _private_folder(place.sockets, 0o700, owner)
    _private_folder(place.cluster, 0o700, owner)
    _private_folder(place.valkey, 0o700)
    pointer = place.data / "postgres.path"
    if place.home == place.data:
        pointer.unlink(missing_ok=True)
    else:
        pointer.write_text(f"{place.cluster}\n")


def postgres_user() -> pwd.struct_passwd | None:
    """Return as whom PostgreSQL runs: it refuses to be root, and is nobody then."""
    return pwd.getpwnam("nobody") if is_root() else None


def _private_folder(folder: Path, mode: int, owner: pwd.struct_passwd | None = None) -> None:
    try:
        folder.mkdir(parents=True, mode=mode, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ServiceError(f"{folder} cannot be used: {error.strerror}") from error
    allowed = {os.geteuid()} | ({owner.pw_uid} if owner else set())
    # In /var/tmp somebody else could have made the folder, or a link of its name, before us.
    if not stat.S_ISDIR(found.st_mode) and folder.is_relative_to("/var/tmp"):  # nosec B108
        raise ServiceError(f"{folder} is not a folder")
    if found.st_uid not in allowed and stat.S_ISDIR(found.st_mode):
        raise ServiceError(f"{folder} belongs to another user; name another folder with --data")
    os.chmod(folder, mode)
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
