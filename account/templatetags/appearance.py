"""What a page's first tag says of how its reader wants it."""

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from account.models import appearance_of

register = template.Library()


@register.simple_tag(takes_context=True)
def appearance(context: template.Context) -> SafeString:
    """Write the attributes of <html> that theme.js, times.js and keys.js read."""
    chosen = appearance_of(context.get("user"))
    said = (
        ("data-theme", chosen.theme),
        ("data-time-zone", chosen.zone),
        ("data-single-keys", "" if chosen.single_keys else "off"),
    )
    return format_html_join("", ' {}="{}"', ((name, value) for name, value in said if value))
