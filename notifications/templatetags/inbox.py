"""What the top bar and the lists of an inbox need in templates."""

from django import template

from notifications import listing

register = template.Library()


@register.simple_tag(takes_context=True)
def unread_count(context: template.Context) -> int:
    """Count what the user has not read, for bell, menu and title."""
    request = context.get("request")
    if request is None or not getattr(request, "user", None) or not request.user.is_authenticated:
        return 0
    return listing.unread_count(request.user)
