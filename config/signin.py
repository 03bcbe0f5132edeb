"""Sign-in by password or link, and sign-out."""

import hashlib
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from limits import RateLimitItemPerSecond

from config import addresses, links, rates
from config.fields import Plain

BY_USER = RateLimitItemPerSecond(
    settings.SIGN_IN_TRIES_PER_USER, settings.SIGN_IN_SECONDS, namespace="signin"
)
BY_ADDRESS = RateLimitItemPerSecond(
    settings.SIGN_IN_TRIES_PER_ADDRESS, settings.SIGN_IN_SECONDS, namespace="signin-from"
)
# Tries that were begun, right ones too: those that are still under way are not wrong yet.
AT_ONCE = RateLimitItemPerSecond(settings.SIGN_IN_TRIES_PER_ADDRESS, 10, namespace="signin-begun")
WRONG = "That username and password do not match. Check both and try again."
UNSENT = "unsent"  # in the query: a form came from somebody who was signed out
USED = "This link was used already, or is over. Ask for a new one by mail, or with ./run user link NAME."


class SignInForm(Plain, AuthenticationForm):
    """Name and password."""


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponse:
    """Sign in with name and password; then go where the person wanted to go."""
    target = safe_next(request)
    if request.user.is_authenticated:
        return HttpResponseRedirect(target)
    if request.method != "POST":
        context = {"form": SignInForm(), "next": target, "unsent": UNSENT in request.GET}
        return render(request, "registration/signin.html", context)
    form = SignInForm(request, request.POST)
    form.error_messages = form.error_messages | {"invalid_login": WRONG, "inactive": WRONG}
    name, address = _who(request)
    # Of a name each try is counted before it is made: many at once would all be made else.
    wait = rates.wait(BY_ADDRESS, address) or rates.take(AT_ONCE, address) or rates.take(BY_USER, name)
    if not wait:
        if form.is_valid():
            rates.forgive(BY_USER, name)
            auth.login(request, form.get_user())
            return HttpResponseRedirect(target)
        rates.count(BY_ADDRESS, address)
        return render(request, "registration/signin.html", {"form": form, "next": target})
    # Not the form itself: asking it for its errors would try the password.
    shown = {
        "non_field_errors": [f"Too many tries. Wait {wait} s."],
        "username": {"value": form["username"].value()},
    }
    answer = render(request, "registration/signin.html", {"form": shown, "next": target}, status=429)
    answer["Retry-After"] = str(wait)
    return answer


def lead_back(request: HttpRequest, response: HttpResponseBase) -> None:
    """Have who sends a form while signed out come back to its page: the form's own address takes no GET."""
    path = request.get_full_path()
    if response.headers.get("Location") != redirect_to_login(path)["Location"]:
        return
    referer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referer, {request.get_host()}):
        return
    page = urlsplit(referer)
    back = f"{page.path}?{page.query}" if page.query else page.path
    target = f"{reverse('signin')}?{urlencode({'next': back, UNSENT: 1}, safe='/')}"
    if request.headers.get("HX-Request") != "true":
        response.headers["Location"] = target
        return
    # htmx would follow it, and put the page of the sign-in into a part of this one.
    response.status_code = 200
    del response.headers["Location"]
    response.headers["HX-Redirect"] = target


def admin_login(request: HttpRequest) -> HttpResponse:
    """Send who wants to the admin through our one sign-in, with its limits; refuse who is not staff."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied
    return HttpResponseRedirect(reverse("admin:index"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show one button that signs in. A GET changes nothing: mail scanners follow links."""
    template = "registration/signin_link.html"
    if request.method != "POST":
        user = links.owner(token)
        if user is None:
            return render(request, template, {"error": USED}, status=404)
        return render(request, template, {"username": user.get_username()})
    with transaction.atomic():
        user = links.owner(token, lock=True)
        if user is not None:
            auth.login(request, user)
    if user is None:
        return render(request, template, {"error": USED}, status=404)
    return HttpResponseRedirect(safe_next(request))


@never_cache
@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    auth.logout(request)
    return render(request, "registration/signed_out.html")


def safe_next(request: HttpRequest) -> str:
    """Return the address to go to after sign-in: one of this site, or home."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(target, allowed_hosts=hosts, require_https=request.is_secure()):
        return target
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _who(request: HttpRequest) -> tuple[str, str]:
    # A hash, so that names that people typed, passwords among them, are not kept. Unknown names count alike.
    name = User.normalize_username(request.POST.get("username", "")[:150]).casefold()
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return digest, addresses.counted(request.META.get("REMOTE_ADDR", ""))
