"""The pages of imports."""

from django.urls import path

from ingestion.sources.imports import views

app_name = "imports"
urlpatterns = [
    path("", views.imports, name="list"),
    path("new/", views.upload, name="upload"),
    path("new/<uuid:upload_id>/", views.start, name="start"),
    path("<int:pk>/", views.import_page, name="import"),
    path("<int:pk>/decide/", views.decide, name="decide"),
    path("<int:pk>/match/", views.match, name="match"),
    path("<int:pk>/answer/", views.answer, name="answer"),
    path("<int:pk>/errors.csv", views.errors, name="errors"),
    path("imports.csv", views.imports_csv, name="imports_csv"),
    path("units.csv", views.units_csv, name="units_csv"),
    path("units/", views.units, name="units"),
]
