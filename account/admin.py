"""Users and groups in the admin: Django's own, each write in the audit log."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from config.admin_lists import PAGE, BoundedPaginator, WellAskedAdmin
from ingestion import belongings
from ingestion.admission import Refused

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(WellAskedAdmin, UserAdmin):  # type: ignore[type-arg]
    """Users. The audit log keeps of their names and addresses only that they changed."""

    personal = ("username", "first_name", "last_name", "email")
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = PAGE

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete a user as they would themselves: what is shared goes on."""
        _leave(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Delete users as they would themselves."""
        for user in queryset:
            _leave(user)
        super().delete_queryset(request, queryset)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set a user's password, and write it down with it."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)


def _leave(user: User) -> None:
    try:
        belongings.leave(user)
    except Refused as refused:  # the queue is full; once more goes on from there
        raise PermissionDenied(refused.message) from refused


@admin.register(Group)
class RoleAdmin(WellAskedAdmin, GroupAdmin):
    """Groups, which are roles: what their members may."""
