"""A way in by mail for who has forgotten: a link that signs in once, or one that sets a new password.

Nothing in the answer, nor in the time it takes, says whether there is an account: the address is looked up
after the answer. Tokens and the page of the new password are Django's own.
"""

import hashlib
import smtplib
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore
from typing import Any

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordResetConfirmView
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from limits import RateLimitItemPerHour, RateLimitItemPerSecond

from config import addresses, audit, links, rates, texts

log = structlog.get_logger(__name__)

WAYS = ("link", "password")
LONGEST = 254  # characters of an address (RFC 5321)
MAX_ACCOUNTS = 5  # that share one address
MAX_WAITING = 100  # mails; a server that is away must not fill the memory
TO_ADDRESS = RateLimitItemPerHour(3, namespace="recovery")  # nobody's mailbox is filled
FROM_ADDRESS = RateLimitItemPerSecond(10, settings.SIGN_IN_SECONDS, namespace="recovery-from")

_pool = ThreadPoolExecutor(1, thread_name_prefix="recovery")
_places = BoundedSemaphore(MAX_WAITING)
_begun: "set[Future[None]]" = set()


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for the address, and answer alike whatever it is."""
    template = "registration/recovery.html"
    if request.method != "POST" or not settings.EMAIL_READY:
        return render(request, template, {"ready": settings.EMAIL_READY})
    address = request.POST.get("email", "").strip()
    way = request.POST.get("way", "link")
    try:
        if len(address) > LONGEST:
            raise ValidationError("too long")
        validate_email(address)
    except ValidationError:
        shown = texts.marked(address[:LONGEST])
        said = {"ready": True, "address": shown, "error": "That is not an e-mail address."}
        return render(request, template, said, status=422)
    here = request.META.get("REMOTE_ADDR", "")
    if wait := rates.take(FROM_ADDRESS, addresses.counted(here)):
        said = {"ready": True, "address": address, "error": f"Too many tries. Wait {wait} s."}
        answer = render(request, template, said, status=429)
        answer["Retry-After"] = str(wait)
        return answer
    log.info("recovery_asked", address=here)
    send_later(address, way if way in WAYS else "link")
    return render(request, template, {"ready": True, "sent_to": address})


def send_later(address: str, way: str) -> "Future[None] | None":
    """Look an address up and send the mail, beside the request. None when too many wait."""
    if not _places.acquire(blocking=False):
        log.warning("recovery_full")
        return None
    sending = _pool.submit(_send, address, way)
    _begun.add(sending)
    sending.add_done_callback(_begun.discard)
    return sending


def finish(seconds: float) -> None:
    """Wait, so long at most, for the mails that were asked for: the process ends."""
    wait(list(_begun), timeout=seconds)


def _send(address: str, way: str) -> None:
    try:
        # Folded as the database compares, which takes a dotless i for an I: else each way to write counts.
        digest = hashlib.sha256(address.upper().casefold().encode()).hexdigest()
        if rates.take(TO_ADDRESS, digest):
            return
        found = User.objects.filter(email__iexact=address, is_active=True).order_by("pk")[:MAX_ACCOUNTS]
        for user in found:
            message(user, way).send()
    except (DatabaseError, OSError, smtplib.SMTPException) as error:
        log.warning("recovery_not_sent", error=type(error).__name__)
    except Exception:  # nobody waits for this thread: what goes wrong would be lost
        log.exception("recovery_failed")
    finally:
        connections.close_all()
        _places.release()


def message(user: User, way: str) -> mail.EmailMessage:
    """Return the mail with a link of the site's own address, whatever Host the request had."""
    if way == "password":
        parts = (urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user))
        link = settings.SITE_URL + reverse("new_password", args=parts)
    else:
        link = links.make(user, settings.SITE_URL)
    context = {"user": user, "link": link, "way": way, "hours": settings.SIGN_IN_LINK_SECONDS // 3600}
    return mail.EmailMessage(
        subject="Set a new password for Headway" if way == "password" else "Sign in to Headway",
        body=render_to_string("registration/recovery_mail.txt", context),
        to=[user.email],
        headers={"Auto-Submitted": "auto-generated"},
    )


class NewPassword(PasswordResetConfirmView):
    """Set a new password by the link of a mail; every session of the account ends."""

    template_name = "registration/new_password.html"
    success_url = reverse_lazy("signin")

    def form_valid(self, form: Any) -> HttpResponse:
        """Set it, and write it down with it."""
        user = form.user
        with transaction.atomic():
            form.save()
            user.sessions.all().delete()
            audit.write("account.password", f"user:{user.pk}", user, through="mail")
        log.info("password_changed", user=user.pk, by="mail")
        self.request.session.flush()
        messages.success(
            self.request,
            "Your new password is set. Sign in with it. Your tokens still work: revoke those that you do not"
            " know.",
        )
        return redirect(self.success_url)
