"""Which columns of the register a definition may write, and as what."""

from ingestion.sources.imports.definition import ENUM, Definition
from ingestion.sources.imports.models import Unit

_TEXTS = frozenset({"text", "code", "web", ENUM})
_TYPES = {
    "CharField": _TEXTS,
    "TextField": _TEXTS,
    "DateField": frozenset({"date", "end_date"}),
    "BigIntegerField": frozenset({"integer"}),
    "DecimalField": frozenset({"decimal"}),
}
_OWN = ("id", "extra", "loaded_by", "loaded_at")  # what no file says
FIELDS = {field.name: field for field in Unit._meta.concrete_fields if field.name not in _OWN}


def problems(definition: Definition) -> list[str]:
    """Return why the definition cannot be used, one sentence each."""
    found = definition.problems()
    for column in definition.columns:
        field = FIELDS.get(column.name)
        if field is None:
            found.append(f"{column.name} is no column of the register.")
            continue
        types = _TYPES[field.get_internal_type()]
        if column.type not in types:
            found.append(f"{column.name} can be {', '.join(sorted(types))}, not {column.type}.")
        if (column.type == "end_date") != (column.name == "valid_to"):
            found.append(f"{column.name}: the end of a period, and only it, is an end date.")
        most = field.max_length
        if most is not None and column.longest > most:
            found.append(f"{column.name} can hold {most} characters.")
    return found
