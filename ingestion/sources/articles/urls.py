"""The pages of topics and their articles."""

from django.urls import path

from ingestion.sources.articles import job_views, views

app_name = "articles"
urlpatterns = [
    path("", views.topics, name="topics"),
    path("topics.csv", views.topics_csv, name="topics_csv"),
    path("<int:pk>/articles.csv", views.articles_csv, name="articles_csv"),
    path("sample/", views.sample, name="sample"),
    path("<int:pk>/", views.topic, name="topic"),
    path("<int:pk>/settings/", views.settings, name="settings"),
    path("<int:pk>/member/", views.member, name="member"),
    path("<int:pk>/check/", job_views.check, name="check"),
    path("<int:pk>/collect/", job_views.collect, name="collect"),
    path("<int:pk>/keep/", job_views.keep, name="keep"),
    path("<int:pk>/retry/", job_views.retry, name="retry"),
    path("<int:pk>/follow/", job_views.follow, name="follow"),
    path("<int:pk>/every/", job_views.every, name="every"),
    path("<int:pk>/remove/", views.remove, name="remove"),
    path("<int:pk>/analyse/", views.analyse, name="analyse"),
    path("<int:pk>/articles/<int:article>/", views.article, name="article"),
]
