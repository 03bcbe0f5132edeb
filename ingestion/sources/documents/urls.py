"""The pages of workspaces and their documents."""

from django.urls import path

from ingestion.sources.documents import views, workspace_views

app_name = "documents"
urlpatterns = [
    path("", workspace_views.workspaces, name="workspaces"),
    path("workspaces.csv", workspace_views.workspaces_csv, name="workspaces_csv"),
    path("<int:pk>/", workspace_views.workspace, name="workspace"),
    path("<int:pk>/documents.csv", workspace_views.documents_csv, name="csv"),
    path("<int:pk>/settings/", workspace_views.settings, name="settings"),
    path("<int:pk>/member/", workspace_views.member, name="member"),
    path("<int:pk>/retry/", workspace_views.retry, name="retry-workspace"),
    path("<int:pk>/refresh/", workspace_views.refresh, name="refresh"),
    path("<int:pk>/remove/", workspace_views.remove, name="remove-workspace"),
    path("<int:pk>/upload/", views.upload, name="upload"),
    path("<int:pk>/same-name/", views.same_name, name="same-name"),
    path("documents/<int:pk>/", views.document, name="document"),
    path("documents/<int:pk>/file/", views.download, name="file"),
    path("documents/<int:pk>/retry/", views.retry, name="retry"),
    path("documents/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("documents/<int:pk>/remove/", views.remove, name="remove"),
]
