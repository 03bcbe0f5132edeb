"""Users and groups in the admin: Django's own, each write in the audit log."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from config.admin_audit import AuditedAdmin
from config.admin_lists import PAGE, BoundedPaginator

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """Users. The audit log keeps of their names and addresses only that they changed."""

    personal = ("username", "first_name", "last_name", "email")
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = PAGE

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set a user's password, and write it down with it."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RoleAdmin(AuditedAdmin, GroupAdmin):
    """Groups, which are roles: what their members may."""
