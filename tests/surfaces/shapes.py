"""What the API's own document says of each operation: which values it takes, and where."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

Shape = dict[str, Any]
Way = tuple[Any, ...]


@dataclass(frozen=True)
class Field:
    """A value within a body. way: the keys to it. shape: its JSON schema, without `null`."""

    way: Way
    shape: Shape
    needed: bool
    nullable: bool

    @property
    def name(self) -> str:
        """Return the name under which errors tell of it."""
        return ".".join(map(str, self.way))


@dataclass(frozen=True)
class Operation:
    """One address of the API with one method."""

    method: str
    path: str
    parameters: list[Shape]
    body: Shape | None
    body_needed: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def document() -> Shape:
    """Return the OpenAPI document."""
    from config.api import api

    return dict(api.get_openapi_schema())


def operations() -> list[Operation]:
    """Return every operation that the document lists."""
    found = []
    for path, methods in document()["paths"].items():
        for method, told in methods.items():
            asked = told.get("requestBody", {}).get("content", {})
            body = asked.get("application/json", {}).get("schema")
            optional = body is not None and ("default" in body or _nullable(body))
            found.append(Operation(method.upper(), path, told.get("parameters", []), body, not optional))
    return found


def variants(body: Shape) -> Iterator[Shape]:
    """Yield each shape of object that a body may have."""
    shape = plain(body)
    if "oneOf" in shape:
        for one in shape["oneOf"]:
            yield plain(one)
    else:
        yield shape


def plain(shape: Shape) -> Shape:
    """Return a shape without references and without `null`."""
    if "$ref" in shape:
        return plain(document()["components"]["schemas"][shape["$ref"].rpartition("/")[2]])
    for word in ("allOf", "anyOf"):
        real = [one for one in shape.get(word, []) if one.get("type") != "null"]
        if len(real) == 1:
            return {**{k: v for k, v in shape.items() if k != word}, **plain(real[0])}
    return shape


def _nullable(shape: Shape) -> bool:
    return any(one.get("type") == "null" for one in shape.get("anyOf", []))


def fields(shape: Shape, way: Way = ()) -> Iterator[Field]:
    """Yield every value that an object of this shape holds, also those within others."""
    for name, inner in shape.get("properties", {}).items():
        yield from _field(inner, (*way, name), name in shape.get("required", []))


def _field(shape: Shape, way: Way, needed: bool) -> Iterator[Field]:
    real = plain(shape)
    yield Field(way, real, needed, _nullable(shape))
    for one in real.get("anyOf", []):
        if one.get("type") == "array":
            yield from _field(one["items"], (*way, 0), False)
    if real.get("type") == "array":
        yield from _field(real["items"], (*way, 0), False)
    if real.get("type") == "object" and "properties" in real:
        yield from fields(real, way)


def least(shape: Shape, known: dict[str, Any]) -> Shape:
    """Return an object with all that is required. known: good values by name."""
    return {
        name: known.get(name, _good(plain(inner), known))
        for name, inner in shape.get("properties", {}).items()
        if name in shape.get("required", []) or name == "source"
    }


def _good(shape: Shape, known: dict[str, Any]) -> Any:
    if "const" in shape:
        return shape["const"]
    if "enum" in shape:
        return shape["enum"][0]
    if shape.get("examples"):
        return shape["examples"][0]
    kind = shape.get("type")
    if kind == "object":
        return least(shape, known)
    if kind == "array":
        return []
    return {"string": "word", "integer": shape.get("minimum", 1), "number": 0.5, "boolean": True}.get(
        kind, {}
    )


def put(body: Shape, way: Way, value: Any) -> Shape:
    """Return a body with a value at a place in it; lists and objects on the way are made."""
    made = deepcopy(body)
    place: Any = made
    for step, following in pairwise(way):
        if isinstance(step, int):
            place[:] = place or [[] if isinstance(following, int) else {}]
        elif not place.get(step):
            place[step] = [] if isinstance(following, int) else {}
        place = place[step]
    if isinstance(way[-1], int):
        place[:] = [value]
    else:
        place[way[-1]] = value
    return made
