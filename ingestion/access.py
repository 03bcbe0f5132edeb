"""Who may see a job, and who may act on it (DESIGN 4.6). Not visible is the same as absent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth.models import Group, User
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Case, F, Func, Q, QuerySet, UUIDField, When
from django.db.models.functions import Cast, Substr

from ingestion.models import Job
from notifications.models import Follow
from realtime import streams

_FOLLOWED_JOB = r"^job:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class _AnyOf(Func):
    """`a = ANY(array)`: PostgreSQL evaluates the array once and uses the index of `a`, also inside an OR.

    `a IN (SELECT ..)` inside an OR reads the whole table.
    """

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field: ClassVar["BooleanField[bool, bool]"] = BooleanField()


@dataclass(frozen=True, kw_only=True)
class ObjectAccess:
    """Who sees objects of a kind that not everybody sees, and the jobs about them.

    names: the stream names of all that a user sees, as a query of one column. may_see, may_act: of one key.
    """

    names: Callable[[Any], QuerySet[Any, Any]]
    may_see: Callable[[Any, str], bool]
    may_act: Callable[[Any, str], bool]


_objects: dict[str, ObjectAccess] = {}


def register(kind: str, rules: ObjectAccess) -> None:
    """Let the members of objects of a kind see the jobs about them. Called from `AppConfig.ready`."""
    _objects[kind] = rules


def visible_jobs(user: Any) -> QuerySet[Job]:
    """Return the jobs this user may see: own ones, followed ones, and all of them for who may view all."""
    if not user.is_authenticated or not user.is_active:
        return Job.objects.none()
    if can_view_all(user):
        return Job.objects.all()
    seen = Q(owner=user) | Q(_AnyOf(F("pk"), _followed(user)))
    for rules in _objects.values():
        seen |= Q(_AnyOf(F("object"), ArraySubquery(rules.names(user))))
    return Job.objects.filter(seen)


def can_ask_about(user: Any, name: str) -> bool:
    """Say whether this user may ask if an object (`company:12`) is ready."""
    if not (user.is_authenticated and user.is_active):
        return False
    kind, _, key = name.partition(":")
    if kind in _private and name not in streams.visible(user, [name]):
        return False
    return kind not in _objects or _objects[kind].may_see(user, key)


_private: set[str] = set()


def keep_private(kind: str) -> None:
    """Let who may watch the streams of a kind ask about its objects, and nobody else."""
    _private.add(kind)


def can_view_all(user: Any) -> bool:
    """Say whether this user sees everybody's jobs by name."""
    return _is_staff_with(user, "ingestion.view_all_jobs")


def who_view_all() -> "QuerySet[User]":
    """Return the users of whom `can_view_all` is true."""
    return who_hold("ingestion.view_all_jobs").filter(is_staff=True)


def who_hold(permission: str) -> "QuerySet[User]":
    """Return the active users who hold a permission (`app.codename`): their own, a group's, a superuser's.

    Not Django's `with_perm`: that asks for each user of the site in turn.
    """
    app, _, codename = permission.partition(".")
    meant = {"permission__content_type__app_label": app, "permission__codename": codename}
    in_groups = Group.permissions.through._default_manager.filter(**meant).values("group")
    own = User.user_permissions.through._default_manager.filter(**meant).values("user")
    of_group = User.groups.through._default_manager.filter(group__in=in_groups).values("user")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=own) | Q(pk__in=of_group), is_active=True)


def can_operate(user: Any) -> bool:
    """Say whether this user may act on everybody's jobs, pause and resume."""
    return _is_staff_with(user, "ingestion.operate")


def can_act(user: Any, job: Job) -> bool:
    """Say whether this user may cancel, retry, answer or delete a job that they see."""
    if job.owner_id is not None and job.owner_id == user.pk:
        return True
    kind, _, key = (job.object or "").partition(":")
    if kind in _objects and _objects[kind].may_act(user, key):
        return True
    return can_operate(user)


def _is_staff_with(user: Any, permission: str) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(permission))


def _followed(user: Any) -> ArraySubquery:
    job_id = Case(
        # Inside CASE, so that another kind of `about` is never cast.
        When(about__regex=_FOLLOWED_JOB, then=Cast(Substr("about", 5), UUIDField())),
        output_field=UUIDField(),
    )
    return ArraySubquery(
        Follow.objects.filter(user=user, about__startswith="job:").annotate(job_id=job_id).values("job_id")
    )
