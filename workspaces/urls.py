from __future__ import annotations

from django.urls import path

from workspaces import views

urlpatterns = [
    path("signin", views.signin, name="signin"),
    path("signin/link/<str:token>", views.signin_link, name="signin_link"),
    path("signout", views.signout, name="signout"),
    path("workspace", views.switch_workspace, name="switch_workspace"),
    path("theme", views.choose_theme, name="choose_theme"),
]
