"""The pages of the inbox."""

from django.urls import path

from notifications import settings_views, views

app_name = "notifications"
urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("inbox.csv", views.inbox_csv, name="csv"),
    path("bell/", views.bell, name="bell"),
    path("snooze/", views.snooze, name="snooze"),
    path("act/", views.act, name="act"),
    path("leave/", views.leave, name="leave"),
    path("settings/", settings_views.show, name="settings"),
    path("settings/channels/", settings_views.choose, name="choose"),
    path("settings/unfollow/", settings_views.unfollow, name="unfollow"),
    path("settings/unmute/", settings_views.unmute, name="unmute"),
    path("settings/webhook/", settings_views.set_webhook, name="set_webhook"),
    path("settings/webhook/remove/", settings_views.remove_webhook, name="remove_webhook"),
    path("settings/webhook/test/", settings_views.test_webhook, name="test_webhook"),
    path("unsubscribe/<str:token>/", settings_views.unsubscribe, name="unsubscribe"),
]
