"""Keep a secret at rest: encrypted under a key that is made of the site's own."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

_PURPOSE = b"headway.webhook-secret:"  # so that no other use of the site's key opens it


def seal(text: str) -> str:
    """Return a text as it may be stored."""
    return _box().encrypt(text.encode()).decode()


def unseal(stored: str) -> str:
    """Return what was sealed, also under the previous key. Raises ValueError when no key of ours opens it."""
    try:
        return _box().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise ValueError("sealed under a key that is not known") from error


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(_PURPOSE + key.encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
