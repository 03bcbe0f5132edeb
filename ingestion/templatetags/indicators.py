"""What a page shows while something takes long: a spinner, and what is done of it (S3.24 to S3.28)."""

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

SIZES = {"sm": " sm", "md": "", "lg": " lg"}


@register.simple_tag
def loading_spinner(size: str = "md", label: str = "Loading") -> SafeString:
    """Draw a spinner. size: sm, md or lg; label: what a screen reader says. Raises KeyError."""
    return format_html('<span class="spinner{}" role="img" aria-label="{}"></span>', SIZES[size], label)


@register.inclusion_tag("ingestion/_progress_indicator.html")
def progress_indicator(
    steps: Iterable[Any],
    title: str = "Processing document...",
    description: str = "This may take a few minutes",
) -> dict[str, Any]:
    """Draw what is done of a long operation. steps: in their order, each with `label` and `status`."""
    return {"steps": steps, "title": title, "description": description}
