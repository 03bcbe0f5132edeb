"""`sources`: what can be ingested, and what each source is asked for. Needs no running instance."""

from typing import Any

from django.core.management.base import CommandParser

from ingestion import serializers
from ingestion.management.terminal import TerminalCommand, add_json
from ingestion.source import Source, registry, upload_fields


class Command(TerminalCommand):
    """`sources [--json]`."""

    help = "List the sources and their parameters."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --json."""
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        if options["as_json"]:
            self.say_json([serializers.source_data(source) for source in registry().values()])
            return
        for source in registry().values():
            self.say(f"{source.kind}  {source.label}")
            if source.description:
                self.say(f"    {source.description}")
            for line in _params(source):
                self.say(f"    {line}")


def _params(source: Source) -> list[str]:
    schema = source.params.model_json_schema()
    files = upload_fields(source.params)
    lines = []
    for name, info in schema.get("properties", {}).items():
        kind = "PATH" if name in files else _kind(info)
        needed = "" if name in schema.get("required", []) else " (optional)"
        lines.append(f"{name}={kind}{needed}  {info.get('description', '')}".rstrip())
    return lines


def _kind(info: dict[str, Any]) -> str:
    if "enum" in info:
        return "|".join(str(value) for value in info["enum"])
    if "const" in info:
        return str(info["const"])
    if "anyOf" in info:
        return _kind(next((one for one in info["anyOf"] if one.get("type") != "null"), {}))
    return str(info.get("format") or info.get("type") or "value").upper()
