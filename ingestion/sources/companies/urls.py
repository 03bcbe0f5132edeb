"""The pages of companies."""

from django.urls import path

from ingestion.sources.companies import views

app_name = "companies"
urlpatterns = [
    path("", views.companies, name="list"),
    path("companies.csv", views.companies_csv, name="csv"),
    path("start/", views.start, name="start"),
    path("<int:pk>/", views.company, name="company"),
    path("<int:pk>/filings.csv", views.filings_csv, name="filings_csv"),
    path("<int:pk>/retry/", views.retry, name="retry"),
    path("<int:pk>/keep/", views.keep, name="keep"),
    path("<int:pk>/follow/", views.follow, name="follow"),
    path("filings/", views.texts, name="texts"),
    path("filings/<str:accession>/", views.filing, name="filing"),
]
