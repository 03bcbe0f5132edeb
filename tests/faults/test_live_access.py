"""Whoever loses a right loses the live view of it, on every transport: soon when told, else by the sweep."""

import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Job
from notifications import inbox
from notifications.models import Follow
from realtime.limits import Close
from realtime.models import Session
from tests.crowd import Crowd, everywhere
from tests.faults.conftest import FULL, pass_time, within
from tests.realtime.rows import make_job, move
from tests.site import SWEEP_SECONDS, Site
from tests.viewers import Viewer
from tests.waiting import until

Loss = Callable[[User, Job], object]

EVERY_SERVER = True


def sign_out(user: User, job: Job) -> dict[str, float]:
    """Sign one session out after the other; return when each of them was."""
    ended = {}
    for session in Session.objects.all():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            client = Client()
            client.cookies["sessionid"] = session.session_key
            client.post("/signout/")
            ended[session.session_key] = time.monotonic()
    return ended


def deactivate(user: User, job: Job) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def change_password(user: User, job: Job) -> None:
    user.set_password("another one")
    user.save(update_fields=["password"])


def unfollow(user: User, job: Job) -> None:
    inbox.unfollow(user.pk, job.stream)


def delete(user: User, job: Job) -> None:
    Job.objects.filter(pk=job.pk).delete()


def sign_out_unheard(user: User, job: Job) -> None:
    for session in Session.objects.all():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            Session.objects.filter(pk=session.pk)._raw_delete("default")


def deactivate_unheard(user: User, job: Job) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def unfollow_unheard(user: User, job: Job) -> None:
    Follow.objects.filter(user=user)._raw_delete("default")


TOLD: dict[Loss, int | None] = {
    sign_out: Close.SIGNED_OUT,
    deactivate: Close.SIGNED_OUT,
    change_password: Close.SIGNED_OUT,
    unfollow: None,
    delete: None,
}
UNTOLD: dict[Loss, int | None] = {
    sign_out_unheard: Close.SIGNED_OUT,
    deactivate_unheard: Close.SIGNED_OUT,
    unfollow_unheard: None,
}


def loses(crowd: Crowd, owner: User, loss: Loss, code: int | None, seconds: float) -> None:
    """Let a follower of a job lose sight of it; assert how soon each transport goes silent, and for good."""
    job = make_job(owner)
    follower = User.objects.create_user("follower", password="the first")
    inbox.follow(follower, job.stream)
    viewers = everywhere(crowd, follower, job.stream)
    staying = crowd.add(owner, job.stream) if loss is not delete else []
    began = time.monotonic()
    ended = loss(follower, job)
    times = ended if isinstance(ended, dict) else {}
    for viewer in viewers:
        since = next((at for key, at in times.items() if key in viewer.headers["Cookie"]), began)
        left = max(0.05, since + seconds - time.monotonic())
        until(lambda viewer=viewer: silenced(viewer, job.stream, code), left, f"the silence of {viewer}")
    told = [len(viewer.told) for viewer in viewers]
    if staying:
        version = move(job, event="log")
        until(lambda: staying[0].at(job.stream, version), 8, "the news for who stays")
        pass_time(0.3)  # for a frame that should not come
    for viewer, before in zip(viewers, told, strict=True):
        late = [one.frame for one in viewer.told[before:] if one.frame.get("stream") == job.stream]
        assert [frame for frame in late if frame["type"] != "gone"] == []


def silenced(viewer: Viewer, stream: str, code: int | None) -> bool:
    return viewer.held(stream).gone if code is None else viewer.over == code


@pytest.mark.parametrize("loss", TOLD if FULL else [sign_out, unfollow], ids=lambda loss: loss.__name__)
def test_a_loss_that_is_told_silences_within_a_second(
    site: Site, crowd: Crowd, owner: User, loss: Loss
) -> None:
    # P18, X40. A deletion is found by the position check, which looks every second.
    loses(crowd, owner, loss, TOLD[loss], within(2 if loss is delete else 1))


@pytest.mark.parametrize("loss", UNTOLD if FULL else [sign_out_unheard], ids=lambda loss: loss.__name__)
def test_a_loss_that_nobody_tells_silences_with_the_sweep(
    site: Site, crowd: Crowd, owner: User, loss: Loss
) -> None:
    loses(crowd, owner, loss, UNTOLD[loss], SWEEP_SECONDS + within(1))  # P18, X40


def test_without_the_push_a_sign_out_is_seen_late(site: Site, crowd: Crowd, owner: User) -> None:
    with site.without("push"), pytest.raises(AssertionError, match="the silence of"):
        loses(crowd, owner, sign_out, Close.SIGNED_OUT, 1)


def test_without_the_sweep_a_loss_that_nobody_tells_is_never_seen(
    site: Site, crowd: Crowd, owner: User
) -> None:
    with site.without("sweep"), pytest.raises(AssertionError, match="the silence of"):
        loses(crowd, owner, deactivate_unheard, Close.SIGNED_OUT, SWEEP_SECONDS + 1)
