"""The pages of days."""

from django.urls import path

from ingestion.sources.lifelogs import account_views, views

app_name = "lifelogs"
urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("accounts/", account_views.accounts_page, name="accounts"),
    path("accounts/add/", account_views.add, name="add"),
    path("accounts/sample/", account_views.sample, name="sample"),
    path("accounts/<int:pk>/<str:verb>/", account_views.change, name="change"),
    path("<int:pk>/", views.calendar, name="calendar"),
    path("<int:pk>/days.csv", views.days_csv, name="csv"),
    path("<int:pk>/sync/", views.sync, name="sync"),
    path("<int:pk>/<str:text>/", views.day, name="day"),
    path("<int:pk>/items/<int:number>/", views.item, name="item"),
    path("<int:pk>/<str:text>/cell/", views.cell, name="cell"),
]
