"""The page of the charts."""

from django.urls import path

from ingestion.sources.imports.analytics import views

app_name = "charts"
urlpatterns = [
    path("", views.page, name="page"),
    path("<slug:dimension>.csv", views.table, name="table"),
]
