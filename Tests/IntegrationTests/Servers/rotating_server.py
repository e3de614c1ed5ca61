"""Authlib's server with logins that nothing forgives: refresh tokens rotate, one that is used twice ends its login, and there
is no grace period. Around it lies a layer that delays, holds, cuts or changes the answers of its endpoints.

Prints its address when it listens. The OAuth server is that of authlib_server.py: the client "client_secret_post" has the
secret "made-up-authlib-secret" until another is made, and GET /authorize redirects at once.

    POST /admin/login               a new login: {"refresh_token": ...}
    POST /admin/secret              one more secret for every client: {"client_secret": ...}
    POST /admin/regenerate          the same, and all others end
    POST /admin/grace/SECONDS       how long a replaced refresh token still gets a new one
    POST /admin/lifetime/SECONDS    of access tokens from now on; 0: the server doesn't say; -1: they have ended already
    POST /admin/faults              a JSON list, see below
    POST /admin/release             lets go of every answer that is held
    GET /admin/state                the counters, see `state`
    POST /admin/end                 every login ends at the server

A fault applies to one request to its path ("/token", if it names no other; with "grant", one of that grant type; with "hint",
one with that token_type_hint). The work is what Authlib does: it rotates. "when" is "before" or "after" the work, and after it
if nothing is said:

    "delay": seconds       wait
    "hold": true           wait for /admin/release
    "close": true          close the connection without an answer
    "status": 502          answer so; with "body", "headers"
    "body": "..."          this instead of the answer; {access_token}, {refresh_token} and {expires_in} are filled in with what
                           the work gave
    "encoding": "gzip"     the body in gzip, deflate, or a character set of Python's; gzip and deflate are declared
    "cut": "text"          end the connection after this text, before the end that was announced
    "no_refresh_token"     the server gives none
"""

import gzip
import json
import secrets
import socket
import sys
import threading
import time
import zlib
from pathlib import Path
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer, make_server

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import authlib_server as authlib  # noqa: E402

# Authlib's own work is done for one request at a time, so that a refresh token is replaced once.
working = threading.Lock()
changed = threading.Condition()
faults, accepted_secrets = [], {authlib.SECRET}
settings = {"grace": 0.0, "lifetime": None}
released = 0
without_refresh_token = False
revoked = []
state = {
    "requests": 0,  # that reached the token endpoint
    "refreshes": 0,  # of these, with a refresh token
    "worked": 0,  # for which a token was made
    "answered": 0,  # whose answer went out, or was cut
    "reuses": 0,  # of a refresh token that was replaced longer ago than the grace period
}


def count(name):
    with changed:
        state[name] += 1
        changed.notify_all()


# --- What Authlib's server does otherwise here


def authenticate_refresh_token(self, text):
    token = authlib.tokens.get(text)
    if not token or token.get("refresh_token") != text:
        return None
    if token.rotated and time.monotonic() > token.rotated + settings["grace"]:
        token.family.revoked = True
        count("reuses")
    return None if token.family.revoked else token


def revoke_old_credential(self, token):
    # The grace period begins when it is used for the first time.
    token.rotated = token.rotated or time.monotonic()


def save_token(values, request):
    if without_refresh_token:
        values.pop("refresh_token", None)
    if settings["lifetime"] is not None:
        values["expires_in"] = max(0, settings["lifetime"] or 10**9)
    authlib.save_token(values, request)
    if settings["lifetime"] == 0:
        del values["expires_in"]


authlib.Refresh.authenticate_refresh_token = authenticate_refresh_token
authlib.Refresh.revoke_old_credential = revoke_old_credential
authlib.Client.check_client_secret = lambda self, secret: secret in accepted_secrets
authlib.server._save_token = save_token
# Another client, whose key pair is as good and whose logins are its own.
authlib.clients["other"] = authlib.Client("other", "client_secret_post")


def families():
    roots = {id(token): token for token in authlib.tokens.values() if token.family is token and token.user}
    return [root for root in roots.values() if not root.revoked]


# --- Administration


class NewLogin:
    client, user, refresh_token = authlib.clients["client_secret_post"], "made-up-user", None


def administer(method, path, body):
    global released
    match [method, *path.split("/")[2:]]:
        case ["GET", "state"]:
            return state | {"families": len(families()), "revoked": revoked}
        case ["POST", "login"]:
            values = {"access_token": secrets.token_hex(20), "refresh_token": secrets.token_hex(20), "scope": "read write"}
            authlib.save_token(values | {"expires_in": 900}, NewLogin)
            return {"refresh_token": values["refresh_token"]}
        case ["POST", "secret" | "regenerate" as what]:
            if what == "regenerate":
                accepted_secrets.clear()
            accepted_secrets.add(secret := "made-up-" + secrets.token_hex(20))
            return {"client_secret": secret}
        case ["POST", "grace" | "lifetime" as what, number]:
            settings[what] = int(number)
        case ["POST", "faults"]:
            faults.extend(json.loads(body))
        case ["POST", "release"]:
            with changed:
                released += 1
                changed.notify_all()
        case ["POST", "end"]:
            for family in families():
                family.revoked = True
        case _:
            return None
    return {}


# --- The layer


class Closed(Exception):
    pass


class Exchange:
    """One request to an endpoint, and the fault that is meant for it."""

    def __init__(self, environ):
        self.environ, self.body = environ, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        form = {name: values[0] for name, values in parse_qs(self.body.decode("latin-1")).items()}
        self.form, self.path = form, environ["PATH_INFO"]
        with changed:
            self.fault = next(filter(self.is_mine, faults), {})
            if self.fault:
                faults.remove(self.fault)
            # Whoever holds a request waits for a release that comes later.
            self.released = released

    def is_mine(self, fault):
        return (
            fault.get("path", "/token") == self.path
            and fault.get("grant", self.form.get("grant_type")) == self.form.get("grant_type")
            and fault.get("hint", self.form.get("token_type_hint")) == self.form.get("token_type_hint")
        )

    def run(self):
        if self.path == "/token":
            count("requests")
            if self.form.get("grant_type") == "refresh_token":
                count("refreshes")
        if self.path == "/revoke":
            revoked.append(self.form.get("token_type_hint"))
        answer = self.disturb("before", None) or self.disturb("after", self.work())
        return answer

    def work(self):
        global without_refresh_token
        with working:
            without_refresh_token = self.fault.get("no_refresh_token", False)
            client = authlib.app.test_client()
            answer = client.post(self.path, data=self.body, headers=self.headers())
        if answer.status_code == 200 and self.path == "/token":
            count("worked")
        return answer.status_code, list(answer.headers), answer.data

    def headers(self):
        names = {"HTTP_AUTHORIZATION": "Authorization", "CONTENT_TYPE": "Content-Type", "HTTP_ACCEPT": "Accept"}
        found = {name: self.environ[key] for key, name in names.items() if key in self.environ}
        return found | {"Host": self.environ["HTTP_HOST"]}

    def disturb(self, when, answer):
        fault = self.fault
        if fault.get("when", "after") != when:
            return answer
        time.sleep(fault.get("delay", 0))
        if fault.get("hold"):
            with changed:
                changed.wait_for(lambda: released > self.released, timeout=200)
        if fault.get("close"):
            raise Closed
        if "status" in fault or "body" in fault or "encoding" in fault:
            return self.changed_answer(*(answer or (200, [], b"{}")))
        return answer

    def changed_answer(self, status, headers, body):
        fault = self.fault
        if "body" in fault and status == 200:
            values = json.loads(body)
            body = fault["body"]
            for name in ("access_token", "refresh_token", "expires_in"):
                body = body.replace("{%s}" % name, str(values.get(name, "")))
            body = body.encode(errors="surrogateescape")
        headers = [("Content-Type", "application/json")]
        match fault.get("encoding"):
            case "gzip" as name:
                body = gzip.compress(body)
                headers.append(("Content-Encoding", name))
            case "deflate" as name:
                body = zlib.compress(body)
                headers.append(("Content-Encoding", name))
            case str(name):
                body = body.decode().encode(name)
        headers = [(name, value) for name, value in headers if name not in fault.get("headers", {})]
        return fault.get("status", status), headers + list(fault.get("headers", {}).items()), body


def answer_with(start_response, status, headers, body, announced):
    headers = [(name, value) for name, value in headers if name.lower() not in ("content-length", "connection")]
    start_response(f"{status} Made Up", headers + [("Content-Length", str(announced))])
    return [body]


def application(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path.startswith("/admin/"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        result = administer(method, path, body)
        text = json.dumps(result).encode()
        return answer_with(start_response, 404 if result is None else 200, [], text, len(text))
    if path not in ("/token", "/revoke", "/introspect", "/api") or method != "POST":
        return authlib.app(environ, start_response)
    exchange = Exchange(environ)
    try:
        status, headers, body = exchange.run()
    except Closed:
        environ["claviger.connection"].shutdown(socket.SHUT_RDWR)
        return answer_with(start_response, 500, [], b"", 0)
    finally:
        if path == "/token":
            count("answered")
    announced = len(body)
    if "cut" in exchange.fault:
        end = exchange.fault["cut"].replace("{refresh_token}", json.loads(body).get("refresh_token", ""))
        body = body[: body.index(end.encode()) + len(end)]
    return answer_with(start_response, status, headers, body, announced)


class Handler(authlib.Quiet):
    def get_environ(self):
        return super().get_environ() | {"claviger.connection": self.connection}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        # Whoever asked may be gone.
        pass


http = authlib.http = make_server("127.0.0.1", 0, application, Server, Handler)
print(authlib.address(), flush=True)
http.serve_forever()
