"""Keep a secret at rest: encrypted under a key that is made of the site's own."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


def seal(text: str, purpose: str) -> str:
    """Return a text as it may be stored. purpose: what it is for; sealed for one, no other opens it."""
    return _box(purpose).encrypt(text.encode()).decode()


def unseal(stored: str, purpose: str) -> str:
    """Return what was sealed, also under the previous key. Raises ValueError when no key of ours opens it."""
    try:
        return _box(purpose).decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise ValueError("sealed under a key that is not known") from error


def _box(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(f"headway.{purpose}:{key}".encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
