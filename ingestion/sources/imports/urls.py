"""The pages of imports."""

from django.urls import path

from ingestion.sources.imports import views

app_name = "imports"
urlpatterns = [
    path("", views.imports, name="list"),
    path("<int:pk>/", views.import_page, name="import"),
    path("<int:pk>/errors.csv", views.errors, name="errors"),
    path("units/", views.units, name="units"),
]
