"""Ok and Err: what the services of documents and workspaces return for expected misses (S3.11)."""

from dataclasses import dataclass
from typing import Generic, NoReturn, TypeAlias, TypeVar

T = TypeVar("T")
E = TypeVar("E")


@dataclass(frozen=True)
class Ok(Generic[T]):
    """It was done, and this is what came of it."""

    value: T
    is_ok = True
    is_err = False

    def unwrap(self) -> T:
        """Return the value."""
        return self.value

    @property
    def error(self) -> None:
        """Return nothing: it was done."""
        return None


@dataclass(frozen=True)
class Err(Generic[E]):
    """It was not done, and this is why."""

    error: E
    is_ok = False
    is_err = True

    def unwrap(self) -> NoReturn:
        """Raise ValueError: there is no value."""
        raise ValueError(f"there is no value: {self.error}")


Result: TypeAlias = Ok[T] | Err[E]
