"""django-oauth-toolkit on a free loopback port, for tests: prints its address when it listens.

    django_server.py FOLDER [CERTIFICATE KEY]

Beside the server's own endpoints below /oauth2/, POST /test/... does what an administrator would do on its pages:
application (makes one: Django hashes the secret, so it is captured here), regenerate, lifetime.
"""

import json
import secrets
import ssl
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

folder = Path(sys.argv[1])
settings.configure(
    DEBUG=False,
    SECRET_KEY="made-up-django-key",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3", "OPTIONS": {"timeout": 20}}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "oauth2_provider",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "registration/login.html": "<title>Log in</title><form method=post>{% csrf_token %}{{ form.as_p }}"
                            "<button>Log in</button></form>"
                        },
                    ),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    LOGIN_URL="/login/",
    # It adds Content-Length: Python cuts TLS without saying so, which makes any other end of an answer a broken one.
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    # Quick hashes: what is under test is not Django's.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={
        "SCOPES": {"read": "read", "write": "write", "introspection": "introspection"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 36000,
        # Else the lifetime that is told to clients stays what it was at the first request.
        "ALWAYS_RELOAD_OAUTHLIB_CORE": True,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    },
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.settings import oauth2_settings  # noqa: E402


@csrf_exempt
def application(request):
    secret = secrets.token_urlsafe(48) + "+/ %ä"[: int(request.GET.get("awkward", "0"))]
    user = get_user_model().objects.filter(username="person").first()
    user = user or get_user_model().objects.create_user("person", password="made-up-password")
    made = Application.objects.create(
        name="test",
        user=user,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=request.GET.get("grant", Application.GRANT_CLIENT_CREDENTIALS),
        # Any port: RFC 8252 section 7.3.
        redirect_uris="http://127.0.0.1/callback",
        client_secret=secret,
    )
    return JsonResponse({"client_id": made.client_id, "client_secret": secret})


@csrf_exempt
def regenerate(request, client_id):
    made = Application.objects.get(client_id=client_id)
    secret = secrets.token_urlsafe(48)
    made.client_secret = secret
    made.save()
    return JsonResponse({"client_id": made.client_id, "client_secret": secret})


@csrf_exempt
def lifetime(request, seconds):
    oauth2_settings.ACCESS_TOKEN_EXPIRE_SECONDS = seconds
    return JsonResponse({})


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("oauth2/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("test/application", application),
    path("test/regenerate/<str:client_id>", regenerate),
    path("test/lifetime/<int:seconds>", lifetime),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler)
    scheme = "http"
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    print(f"{scheme}://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
