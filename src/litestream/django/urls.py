"""The dashboard in a project: ``path("backups/", include("litestream.django.urls"))``."""

from __future__ import annotations

from django.urls import re_path

from litestream.django import views

app_name = "litestream"
urlpatterns = [re_path(r"^(?P<rest>(?s:.*))$", views.dashboard, name="dashboard")]
