"""Who may see how the whole goes: operators, their programs, and the networks that a deployment names."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

from config import addresses, rates
from config.problems import Problem
from ingestion import access, tokens


def admit(request: HttpRequest) -> None:
    """Refuse who may not see it; what a signed-in user may not see is not there.

    Raises Problem, and what the database raises while it is away.
    """
    if from_named_network(request) or _operates(request):
        return
    rates.spend(rates.UNSIGNED, addresses.counted(request.META.get("REMOTE_ADDR", "")))
    known = "Authorization" in request.headers or request.user.is_authenticated
    raise Problem("not_found" if known else "auth_required")  # a program is told to bring a token


def _operates(request: HttpRequest) -> bool:
    if "Authorization" in request.headers:
        token = tokens.of_header(request.headers["Authorization"])
        row = tokens.find(token) if token is not None else None
        return row is not None and "read" in row.scopes and access.can_operate(row.user)
    return request.user.is_authenticated and access.can_operate(request.user)


def from_named_network(request: HttpRequest) -> bool:
    """Say whether a request comes from one of HEADWAY_METRICS_NETWORKS."""
    address = _address(request)
    return address is not None and any(
        address in ipaddress.ip_network(text, strict=False) for text in settings.METRICS_NETWORKS
    )


def from_here(request: HttpRequest) -> bool:
    """Say whether a request comes from the machine itself, and not for somebody else.

    A proxy beside us that is not named in HEADWAY_TRUSTED_PROXIES has our address, whoever asks it.
    """
    address = _address(request)
    handed_on = "X-Forwarded-For" in request.headers
    return address is not None and address.is_loopback and not handed_on


def _address(request: HttpRequest) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
