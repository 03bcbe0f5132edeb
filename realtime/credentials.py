"""What lets a client in, and whether it still does: a session of Django's, or a bearer token.

One function judges one newcomer and all who are here, with a fixed number of queries, so that the way in and
the way out cannot disagree.
"""

import re
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from realtime.origin import Scope, cookies, has_session_cookie, headers, session_cookies
from realtime.sessions import MOVED_TO, SessionStore

_SESSION_KEY = re.compile(r"[A-Za-z0-9]{8,64}", re.ASCII)


class Credential(NamedTuple):
    """By what somebody is here. `key` is a session's key, or the id of a token's row."""

    kind: str
    key: str


class Standing(NamedTuple):
    """What a credential is worth now.

    user: freshly read, without cached permissions; None when it lets nobody in.
    credential: under which it goes on: a change of one's own password gives the session a new key. None for a
    request of this process that was let in elsewhere.
    at: when the question was asked, on the monotonic clock.
    settled: False while a sign-in is being renewed, between two writes of one request: ask again.
    """

    user: Any
    credential: Credential | None
    at: float
    settled: bool = True


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Bearer tokens, which are no business of this room.

    find: a token -> the id of its row and its user, or None. living: of these ids, those that still let
    somebody in, with their users.
    """

    find: Callable[[str], tuple[str, Any] | None]
    living: Callable[[Collection[str]], Mapping[str, Any]]


_tokens: Tokens | None = None


def accept_tokens(tokens: Tokens) -> None:
    """Let tokens in too. Called from `AppConfig.ready`."""
    global _tokens
    _tokens = tokens


def identify(scopes: Sequence[Scope]) -> list[Standing | None]:
    """Return where each request's credential stands, None where it has none. Reads the database.

    A session cookie counts alone, even beside a token: a browser sends it by itself.
    """
    sessions = [_session_of(scope) if has_session_cookie(scope) else None for scope in scopes]
    found = standings({one for one in sessions if one is not None})
    judged: list[Standing | None] = []
    for scope, credential in zip(scopes, sessions, strict=True):
        if credential is not None:
            standing = found[credential]
            # Who is here may stay under a new key; the way in is open to the new cookie alone.
            judged.append(standing if standing.credential == credential else None)
        else:
            judged.append(None if has_session_cookie(scope) else _by_token(scope))
    return judged


def _session_of(scope: Scope) -> Credential | None:
    key = cookies(scope)[settings.SESSION_COOKIE_NAME]
    # Two cookies of this name: somebody else set one of them, and which one counts would be a guess.
    known = _SESSION_KEY.fullmatch(key) and session_cookies(scope) == 1
    return Credential("session", key) if known else None


def _by_token(scope: Scope) -> Standing | None:
    token = bearer(scope)
    at = time.monotonic()
    found = _tokens.find(token) if token is not None and _tokens is not None else None
    if found is None:
        return None
    key, user = found
    return Standing(user, Credential("token", key), at)


def claimed(scope: Scope) -> Hashable | None:
    """Return what tells the credential that a request shows from others, judged or not; None for none."""
    if has_session_cookie(scope):
        return "session", cookies(scope)[settings.SESSION_COOKIE_NAME]
    token = bearer(scope)
    return None if token is None else ("token", token)


def standings(credentials: Collection[Credential]) -> dict[Credential, Standing]:
    """Return where each credential stands: at most four queries, however many there are."""
    sessions = [credential for credential in credentials if credential.kind == "session"]
    tokens = [credential for credential in credentials if credential.kind == "token"]
    at = time.monotonic()
    found = _sessions(sessions, at) if sessions else {}
    if tokens:
        living = _tokens.living([token.key for token in tokens]) if _tokens is not None else {}
        found |= {token: Standing(living.get(token.key), token, at) for token in tokens}
    return found


def bearer(scope: Scope) -> str | None:
    """Return the token of a request, or None."""
    values = headers(scope, b"authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _sessions(credentials: Collection[Credential], at: float) -> dict[Credential, Standing]:
    data = _data_of({credential.key for credential in credentials})
    keys = {one: data.get(one.key, {}).get(MOVED_TO, one.key) for one in credentials}
    data |= _data_of({key for key in keys.values() if key not in data})
    users = _users({data[key].get(SESSION_KEY) for key in keys.values() if key in data})
    found = {}
    for credential, key in keys.items():
        user, settled = _user_of(data.get(key), users)
        if key != credential.key and user is None:
            settled = False  # a new row is written empty first, and filled when its request ends
        found[credential] = Standing(user, Credential("session", key), at, settled)
    return found


def _user_of(data: dict[str, Any] | None, users: Mapping[str, Any]) -> tuple[Any | None, bool]:
    """Return whom a session signs in, and whether that is settled."""
    user = users.get(data.get(SESSION_KEY, "")) if data is not None else None
    if data is None or user is None or data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None, True
    stored = data.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    if any(constant_time_compare(stored, one) for one in hashes):
        return user, True
    # Another password: somebody else's doing, or the session's own request is about to write the new hash.
    return None, False


def _data_of(keys: Collection[str]) -> dict[str, dict[str, Any]]:
    if not keys:
        return {}
    rows = SessionStore.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {row.session_key: row.get_decoded() for row in rows}


def _users(ids: Collection[str | None]) -> dict[str, Any]:
    """Return the active users of these ids as sessions hold them."""
    model = get_user_model()
    keys = {}
    for text in ids:
        try:
            keys[text] = model._meta.pk.to_python(text)
        except ValidationError:
            continue
    found = model._default_manager.filter(is_active=True).in_bulk(
        [key for key in keys.values() if key is not None]
    )
    return {text: found[key] for text, key in keys.items() if text is not None and key in found}
