"""Notifications, broadcasts and deliveries in the admin: looked at, deleted, sent, by the verbs alone."""

from collections import defaultdict
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from config.admin_lists import BoundedAdmin
from config.fields import Line, Plain, Text
from notifications import acting, broadcasts, links, outbox
from notifications.models import Broadcast, Delivery, Level, Notification
from notifications.telling import MAX_TEXT, MAX_TITLE


class LookedAtAdmin(BoundedAdmin):
    """Rows that nobody adds or changes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes by hand."""
        return False


@admin.register(Notification)
class NotificationAdmin(LookedAtAdmin):
    """Private rows of users: for those alone whom a superuser gave Django's own permissions."""

    list_display = ("title", "recipient", "type", "level", "updated_at", "read_at", "archived_at")
    list_filter = ("level",)
    list_select_related = ("recipient",)
    search_fields = ("=recipient__username",)
    search_help_text = "A whole user name"
    ordering = ("-pk",)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Say what goes; deliveries go with their notification, though nobody deletes them alone."""
        gone, counts, needed, protected = super().get_deleted_objects(objs, request)
        return gone, counts, needed - {Delivery._meta.verbose_name}, protected

    def delete_model(self, request: HttpRequest, obj: Notification) -> None:
        """Delete one, and count it out of its inbox."""
        acting.delete(obj.recipient, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Delete those chosen, inbox by inbox."""
        chosen: dict[Any, list[int]] = defaultdict(list)
        for row in queryset.select_related("recipient").order_by("recipient"):
            chosen[row.recipient].append(row.pk)
        for user, ids in chosen.items():
            acting.delete(user, ids)


class BroadcastForm(Plain, forms.Form):
    """What everybody is told."""

    title = Line(max_length=MAX_TITLE, widget=AdminTextInputWidget)
    text = Text(max_length=MAX_TEXT, required=False, widget=AdminTextareaWidget)
    url = Line(
        max_length=links.MAX_LINK,
        required=False,
        label="Link",
        help_text="A path of this site, for example /jobs/",
        widget=AdminTextInputWidget,
    )
    level = forms.ChoiceField(choices=Level.choices, initial=Level.INFO)
    key = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)  # pressed twice is sent once

    def clean_url(self) -> str:
        """Refuse a link that may not be stored."""
        try:
            return links.check(self.cleaned_data["url"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(Broadcast)
class BroadcastAdmin(BoundedAdmin):
    """What everybody was told; new ones are shown with the number of people before they are sent."""

    list_display = ("title", "level", "published_at", "withdrawn_at", "published_by")
    ordering = ("-pk",)
    actions = ("withdraw",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look."""
        return _may(request, "notifications.send_broadcast")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Say who may run the actions."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say who may send to everybody."""
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes what was said."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes what was said: it can be withdrawn."""
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask what to say, show it with the number of people, and send it when that is confirmed."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)  # which refuses
        form = BroadcastForm(request.POST if request.method == "POST" else None)
        previewed = request.method == "POST" and form.is_valid()
        if previewed and "confirmed" in request.POST and "change" not in request.POST:
            made = broadcasts.broadcast(**form.cleaned_data, by=request.user)
            self.message_user(request, f"“{made.title}” was sent to everybody.", messages.SUCCESS)
            return redirect("admin:notifications_broadcast_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": "Send to everybody",
            "opts": self.opts,
            "form": form,
            "preview": form.cleaned_data if previewed and "change" not in request.POST else None,
            "href": links.href(form.cleaned_data["url"]) if previewed else "",
            "people": get_user_model().objects.filter(is_active=True).count() if previewed else 0,
        }
        return TemplateResponse(request, "admin/notifications/broadcast/send.html", context)

    @admin.action(permissions=["send"], description="Withdraw from all inboxes")
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Broadcast]) -> None:
        """Take those chosen out of all inboxes."""
        count = sum(
            broadcasts.withdraw(pk) for pk in queryset.values_list("pk", flat=True)[: self.list_per_page]
        )
        self.message_user(request, f"{count:,} withdrawn.", messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(LookedAtAdmin):
    """What was sent where, how often, and what went wrong. Not what it said: that is the user's."""

    list_display = ("id", "recipient", "kind", "channel", "state", "tries", "created_at", "due_at", "error")
    list_filter = ("state", "channel")
    list_select_related = ("notification__recipient",)
    search_fields = ("=notification__recipient__username",)
    search_help_text = "A whole user name"
    ordering = ("-pk",)
    actions = ("send_again",)
    fields = (
        "recipient", "kind", "key", "version", "channel", "state", "tries", "due_at", "sent_at", "error",
        "created_at",
    )  # fmt: skip
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look: operators, and whom a superuser gave Django's own permission."""
        return self.has_operate_permission(request) or super().has_view_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Say who may run the actions."""
        return _may(request, "ingestion.operate")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes by hand: they go with their notification."""
        return False

    @admin.display(description="recipient")
    def recipient(self, delivery: Delivery) -> str:
        """Return whom it is for."""
        return str(delivery.notification.recipient)

    @admin.display(description="type")
    def kind(self, delivery: Delivery) -> str:
        """Return the type of the notification."""
        return delivery.notification.type

    @admin.action(permissions=["operate"], description="Send again")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Queue those that failed or were dropped once more."""
        count = outbox.retry(queryset)
        self.message_user(request, f"{count:,} will be sent again.", messages.SUCCESS)


def _may(request: HttpRequest, permission: str) -> bool:
    user: Any = request.user
    return bool(user.is_active and user.is_staff and user.has_perm(permission))
