"""The pages of the jobs room."""

from django.urls import path

from ingestion import (
    bulk_views,
    dead_letter_views,
    download_views,
    operate_views,
    schedule_views,
    search_views,
    status_views,
    views,
)

app_name = "ingestion"
urlpatterns = [
    path("", views.home, name="home"),
    path("search/", search_views.page, name="search"),
    path("status/", status_views.page, name="status"),
    path("status/details/", status_views.in_progress, name="details"),
    path("status/pause/", status_views.pause, name="pause"),
    path("status/resume/", status_views.resume, name="resume"),
    path("operate/", operate_views.overview_page, name="overview"),
    path("dead-letters/", dead_letter_views.page, name="dead"),
    path("dead-letters/dead-letters.csv", dead_letter_views.as_csv, name="dead_csv"),
    path("dead-letters/act/", dead_letter_views.act, name="dead_act"),
    path("operate/audit/", operate_views.audit_log, name="audit"),
    path("operate/audit/audit.csv", operate_views.audit_csv, name="audit_csv"),
    path("schedules/", schedule_views.page, name="schedules"),
    path("schedules/schedules.csv", schedule_views.as_csv, name="schedules_csv"),
    path("schedules/<int:pk>/", schedule_views.edit, name="schedule"),
    path("schedules/<int:pk>/run/", schedule_views.run, name="schedule_run"),
    path("schedules/<int:pk>/pause/", schedule_views.pause, name="schedule_pause"),
    path("schedules/<int:pk>/resume/", schedule_views.resume, name="schedule_resume"),
    path("start/<slug:kind>/", views.start, name="start"),
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/jobs.csv", download_views.jobs_csv, name="jobs_csv"),
    path("jobs/bulk/", views.bulk, name="bulk"),
    path("jobs/all/", bulk_views.page, name="bulk_all"),
    path("jobs/<uuid:pk>/", views.job, name="job"),
    path("jobs/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("jobs/<uuid:pk>/retry/", views.retry, name="retry"),
    path("jobs/<uuid:pk>/again/", views.again, name="again"),
    path("jobs/<uuid:pk>/answer/", views.answer, name="answer"),
    path("jobs/<uuid:pk>/review/", views.review, name="review"),
    path("jobs/<uuid:pk>/follow/", views.follow, name="follow"),
    path("jobs/<uuid:pk>/mute/", views.mute, name="mute"),
    path("jobs/<uuid:pk>/items.csv", download_views.items_csv, name="items_csv"),
    path("jobs/<uuid:pk>/failed.csv", download_views.failed_csv, name="failed_csv"),
    path("jobs/<uuid:pk>/events.txt", download_views.events_text, name="events_text"),
]
