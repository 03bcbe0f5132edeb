"""The pages of a person's own account."""

from django.urls import path

from account import views

app_name = "account"
urlpatterns = [
    path("", views.show, name="account"),
    path("profile/", views.save_profile, name="profile"),
    path("appearance/", views.save_appearance, name="appearance"),
    path("password/", views.change_password, name="password"),
    path("sessions/end/", views.end_session, name="end_session"),
    path("sessions/end-others/", views.end_others, name="end_others"),
    path("export/", views.export, name="export"),
    path("delete/", views.delete, name="delete"),
    path("tokens/", views.make_token, name="make_token"),
    path("tokens/revoke/", views.revoke_token, name="revoke_token"),
]
