"""Addresses of the whole site."""

from django.contrib import admin
from django.urls import path

from config import errors, page_urls, signin
from config.api import api

urlpatterns = [
    path("admin/login/", signin.admin_login),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    *page_urls.urlpatterns,
]
handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
