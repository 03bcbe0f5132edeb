"""Typed, strict readers of the environment. Every problem is one line that names the setting.

Readers never raise: they note the problem and return the default, so that one start names all problems.
`Environment.refuse` raises at the end.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
HOST = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\]", re.IGNORECASE)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
REDIS_DATABASES = 16
UNPREFIXED = ("DATABASE_URL", "REDIS_URL")
INTERNAL = ("HEADWAY_ROLE", "HEADWAY_REAL_DATA", "HEADWAY_FAULTS")  # of the supervisor; of the tests


class SettingsError(Exception):
    """The environment cannot be used. `problems` are sentences, one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Environment:
    """The settings given from outside, read once."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []
        self.known: list[str] = []

    def problem(self, name: str, text: str) -> None:
        """Note that a setting cannot be used."""
        self.problems.append(f"{name} {text}.")

    def refuse(self) -> None:
        """Raise SettingsError when anything was wrong."""
        if self.problems:
            raise SettingsError(self.problems)

    def unknown(self) -> list[str]:
        """Return the HEADWAY_ names that nobody reads: most likely misspelt."""
        ours = {name for name in self._values if name.startswith("HEADWAY_")}
        return sorted(ours - set(self.known) - set(INTERNAL))

    def raw(self, name: str) -> str | None:
        """Return the trimmed value, None when unset or not one line of text."""
        if name not in self.known:
            self.known.append(name)
        value = self._values.get(name)
        if value is None:
            return None
        value = value.strip(" \t")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            self.problem(name, "must be one line of text")
            return None
        return value

    def text(self, name: str, default: str = "") -> str:
        """Read a text; an empty value is the default."""
        return self.raw(name) or default

    def flag(self, name: str, default: bool = False) -> bool:
        """Read a boolean."""
        value = self.raw(name)
        if value is None:
            return default
        if value.lower() not in TRUE + FALSE:
            self.problem(name, f"must be true or false, not {value!r}")
            return default
        return value.lower() in TRUE

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number between `low` and `high`, ASCII digits only."""
        value = self.raw(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?[0-9]{1,12}", value) or not low <= int(value) <= high:
            self.problem(name, f"must be a whole number {low}-{high}, not {value!r}")
            return default
        return int(value)

    def choice(self, name: str, options: Sequence[str], default: str) -> str:
        """Read one of a few words."""
        value = self.text(name, default)
        if value not in options:
            self.problem(name, f"must be one of: {', '.join(options)}; not {value!r}")
            return default
        return value

    def words(self, name: str) -> list[str]:
        """Read a list separated with commas."""
        value = self.raw(name)
        if not value:
            return []
        parts = [part.strip() for part in value.split(",")]
        if not all(parts) or any(re.search(r"\s", part) for part in parts):
            self.problem(name, f"is a list: separate with commas, not {value!r}")
            return []
        return parts

    def secret(self, name: str, shortest: int) -> str:
        """Read a secret; its value never appears in a problem."""
        value = self.text(name)
        if value and len(value) < shortest:
            self.problem(name, f"must have at least {shortest} characters")
            return ""
        return value

    # --- addresses ---------------------------------------------------------------------------------------

    def hosts(self, name: str) -> list[str]:
        """Read host names as Django's ALLOWED_HOSTS wants them."""
        hosts = self.words(name)
        for host in hosts:
            if "://" in host or "/" in host:
                self.problem(name, f"takes host names only, without https://, not {host!r}")
            elif host != "*" and not HOST.fullmatch(host):
                self.problem(name, f"takes host names only, not {host!r}")
        return hosts

    def origin(self, name: str, default: str) -> str:
        """Read the address of a site: scheme and host, nothing behind."""
        value = self.text(name, default)
        return value if self._is_origin(name, value) else default

    def origins(self, name: str) -> list[str]:
        """Read a list of origins."""
        return [value for value in self.words(name) if self._is_origin(name, value)]

    def _is_origin(self, name: str, value: str) -> bool:
        parts = _split(value)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            self.problem(name, f"needs scheme, for example https://example.org, not {value!r}")
            return False
        if parts.path or parts.query or parts.fragment or parts.username is not None or value.endswith("?"):
            self.problem(name, f"must be a scheme and a host, no path, not {value!r}")
            return False
        return True

    def networks(self, name: str) -> list[str]:
        """Read addresses or networks."""
        networks = self.words(name)
        for text in networks:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                network = None
            if network is None or network.prefixlen == 0:
                self.problem(name, f"must be a list of addresses or networks; not everything; not {text!r}")
        return networks

    def database_url(self, name: str) -> str | None:
        """Read the address of a PostgreSQL database; it may hold a password and is never shown."""
        value = self.raw(name)
        if not value:
            return None
        scheme, colon, rest = value.partition("://")
        if not colon or not rest:
            self.problem(name, "cannot be read; write postgres://user:password@host:5432/name")
        elif scheme not in ("postgres", "postgresql"):
            self.problem(name, "must start with postgres://; PostgreSQL is the only database")
        elif (parts := _split(value)) is None:
            self.problem(name, "has a bad port: the port must be a number")
        elif not parts.path.strip("/"):
            self.problem(name, "cannot be read; the name of the database is missing")
        else:
            return value
        return None

    def redis_url(self, name: str, *, production: bool) -> str | None:
        """Read the address of Redis or Valkey; it may hold a password and is never shown."""
        value = self.raw(name)
        if not value:
            return None
        parts = _split(value)
        if not re.match(r"(redis|rediss|unix)://.", value) or parts is None:
            self.problem(name, "must start with redis://, rediss:// or unix://")
            return None
        database = parse_qs(parts.query).get("db", [""])[-1]
        if parts.scheme != "unix":
            database = unquote(parts.path).strip("/") or database
        if database and not (re.fullmatch("[0-9]{1,2}", database) and int(database) < REDIS_DATABASES):
            self.problem(name, f"names a bad database: the database must be 0-{REDIS_DATABASES - 1}")
            return None
        if production and parts.scheme != "unix":
            if parts.scheme == "redis" and parts.hostname not in LOOPBACK:
                self.problem(name, "crosses the network in the clear: use rediss://")
            if not parts.password:
                self.problem(name, "needs a password")
        return value

    def email_url(self, name: str, *, production: bool) -> dict[str, Any] | None:
        """Read where mail is handed over, as Django's settings; it may hold a password and is never shown.

        `smtp+tls://` begins in the clear and goes on encrypted (STARTTLS), `smtps://` is encrypted at once.
        """
        value = self.raw(name)
        if not value:
            return None
        parts = _split(value)
        schemes = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
        if parts is None or parts.scheme not in schemes or not parts.hostname or parts.path not in ("", "/"):
            self.problem(name, "cannot be read; write smtp+tls://user:password@host:587")
            return None
        if production and parts.scheme == "smtp" and parts.hostname not in LOOPBACK:
            self.problem(name, "crosses the network in the clear: use smtp+tls:// or smtps://")
        return {
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": parts.port or schemes[parts.scheme],
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
            "EMAIL_USE_SSL": parts.scheme == "smtps",
        }

    def address(self, name: str, default: str) -> str:
        """Read an e-mail address, with or without a name before it."""
        value = self.text(name, default)
        address = parseaddr(value)[1]
        if not re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", address) or value not in (
            address,
            formataddr(parseaddr(value)),
        ):
            self.problem(name, f"must be an e-mail address, not {value!r}")
            return default
        return value

    # --- other things ------------------------------------------------------------------------------------

    def zone(self, name: str, default: str) -> str:
        """Read the name of a time zone."""
        value = self.text(name, default)
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.problem(name, f"names an unknown time zone: {value!r}")
            return default
        return value

    def folder(self, name: str, default: Path, web_root: Path) -> Path:
        """Read a folder for uploads. It is made when only its last part is missing and nothing was named."""
        value = self.text(name)
        if not value:
            return default
        folder = Path(value)
        writable = folder.is_absolute() and folder.is_dir() and _writable(folder)
        if not writable or folder == Path("/") or folder.resolve().is_relative_to(web_root.resolve()):
            self.problem(name, f"must be a writable folder outside the web root, not {value!r}")
            return default
        return folder

    def modules(self, name: str) -> list[str]:
        """Read dotted names of Python modules."""
        names = self.words(name)
        for text in names:
            if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text, re.ASCII):
                self.problem(name, f"takes names of Python packages, not {text!r}")
        return names


def _split(url: str) -> SplitResult | None:
    """Split an address; None when it, or its port, cannot be read."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        return None
    return parts


def _writable(folder: Path) -> bool:
    probe = folder / ".headway-write-test"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
