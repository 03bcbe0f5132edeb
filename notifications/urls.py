"""The pages of the inbox."""

from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("leave/", views.leave, name="leave"),
]
