"""JSON merge patches (RFC 7396). In our data an absent key and null are the same."""

from typing import Any

JsonObject = dict[str, Any]


def without_nulls(value: Any) -> Any:
    """Return the value without keys that are null, so that a state equals the patches that lead to it."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def difference(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return the patch that makes `new` of `old`; both without nulls. Lists are replaced whole."""
    patch: JsonObject = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            inner = difference(old[key], value)
            if inner:
                patch[key] = inner
        elif value != old[key] or type(value) is not type(old[key]):
            patch[key] = value
    return patch


def apply(data: Any, patch: Any) -> Any:
    """Return `data` with the patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(data) if isinstance(data, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result
