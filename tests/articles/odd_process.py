"""The program that judges pages; it tells vectors as they are, and is killed by a text that asks for that."""

import os
import signal
from collections.abc import Sequence
from typing import Any

from ingestion.encoders import UseMultilingual, multilingual
from ingestion.sources.articles import page_process

encode, say = UseMultilingual.encode, page_process._said


def dying(self: UseMultilingual, texts: Sequence[str]) -> Any:
    """Encode, or die of it."""
    if any(text.startswith("Die here") for text in texts):
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, texts)


def said(asked: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Answer as ever; where texts are given, with a vector of each in hexadecimal digits."""
    if "texts" in asked:
        return {"vectors": [row.tobytes().hex() for row in multilingual().encode(asked["texts"])]}
    return say(asked, content)


if __name__ == "__main__":
    UseMultilingual.encode = dying  # type: ignore[method-assign]
    page_process._said = said
    os._exit(page_process.main())
