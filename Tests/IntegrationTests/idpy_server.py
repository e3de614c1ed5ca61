"""An OpenID Connect provider of idpyoidc's, with everything that it has, on a free loopback port.

    idpy_server.py PUBLIC-KEY-PEM

Prints its address when it listens. Its clients have the secret "made-up-idpyoidc-secret-of-32-bytes" and are named after
the way in which they prove themselves; one more has a name that URLs encode. Its user is "made-up-user" with the password
"made-up-password". GET /redirect says where logins come back to, GET /api welcomes tokens, POST /expire lets all access
tokens end, POST /end all refresh tokens, and POST /without-pkce ends the check of verifiers, with which idpyoidc 5.0.0 has
no password grant.

What is here is what idpyoidc's own example has (flask_op): the routes, and which exception becomes which answer. All that
is decided is decided by idpyoidc.
"""

import json
import socket
import sys
import tempfile
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from cryptojwt.jwk.rsa import RSAKey
from cryptojwt.jwt import utc_time_sans_frac
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from idpyoidc.message.oauth2 import ResponseMessage
from idpyoidc.message.oidc import AuthorizationRequest
from idpyoidc.server import Server
from idpyoidc.server.configure import OPConfiguration
from idpyoidc.server.exception import FailedAuthentication
from idpyoidc.server.oauth2.add_on.pkce import post_token_parse
from idpyoidc.server.oauth2.token_helper.client_credentials import ClientCredentials
from idpyoidc.server.oauth2.token_helper.resource_owner_password_credentials import ResourceOwnerPasswordCredentials
from idpyoidc.server.user_authn.authn_context import INTERNETPROTOCOLPASSWORD



class NewSession:
    """idpyoidc 5.0.0 gives one token of these grants and fails at the next: it takes the session that it finds for another
    kind of object. So it finds none."""

    def process_request(self, request, **kwargs):
        manager = self.endpoint.upstream_get("context").session_manager

        def find_none_once(path):
            del manager.get
            raise KeyError(str(path))

        manager.get = find_none_once
        return super().process_request(request, **kwargs)


class Credentials(NewSession, ClientCredentials):
    pass


class Password(NewSession, ResourceOwnerPasswordCredentials):
    pass


SECRET = "made-up-idpyoidc-secret-of-32-bytes"
AWKWARD = "made-up/id+%41"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENTS = {
    "client_secret_basic": "client_secret_basic",
    "client_secret_post": "client_secret_post",
    "client_secret_jwt": "client_secret_jwt",
    "private_key_jwt": "private_key_jwt",
    "none": "public",
}
HELPERS = {
    "authorization_code": "idpyoidc.server.oidc.token_helper.access_token.AccessTokenHelper",
    "refresh_token": "idpyoidc.server.oidc.token_helper.refresh_token.RefreshTokenHelper",
    "client_credentials": Credentials,
    "password": Password,
    EXCHANGE: "idpyoidc.server.oidc.token_helper.token_exchange.TokenExchangeHelper",
}
PAGE = """<!doctype html><title>Log in</title><form action="{{ action }}" method="post">
<input type="hidden" name="token" value="{{ token }}"><input id="username" name="username">
<input id="password" name="password" type="password"><input type="submit" value="{{ submit_btn }}"></form>"""


def endpoint(path, name, **kwargs):
    return {"path": path, "class": f"idpyoidc.server.{name}", "kwargs": kwargs}


def keys(*kinds):
    return {"key_defs": list(kinds)}


def configuration(address, folder):
    signing = {"type": "RSA", "use": ["sig"]}
    secret = [{"type": "OCT", "use": ["enc"], "kid": "password"}, {"type": "OCT", "use": ["enc"], "kid": "salt"}]
    crypt = {"kwargs": {"keys": keys(*secret), "iterations": 1}}
    methods = [method for method in CLIENTS.values() if method != "public"]
    users = {"class": "idpyoidc.server.util.JSONDictDB", "kwargs": {"filename": str(folder / "users.json")}}
    mints = ["access_token", "refresh_token", "id_token"]
    helpers = {grant: {"class": name, "kwargs": None} for grant, name in HELPERS.items()}
    return {
        "issuer": address,
        "httpc_params": {"verify": False},
        "keys": {"uri_path": "jwks", **keys(signing, {"type": "EC", "crv": "P-256", "use": ["sig"]})},
        "preference": {"grant_types_supported": list(HELPERS), "subject_types_supported": ["public"]},
        "add_on": {
            "pkce": {
                "function": "idpyoidc.server.oauth2.add_on.pkce.add_support",
                "kwargs": {"essential": True, "code_challenge_method": "S256"},
            }
        },
        "authz": {
            "class": "idpyoidc.server.authz.AuthzHandling",
            "kwargs": {
                "grant_config": {
                    "usage_rules": {
                        "authorization_code": {"supports_minting": mints, "max_usage": 1},
                        "access_token": {"supports_minting": ["access_token"], "expires_in": 600},
                        "refresh_token": {"supports_minting": mints},
                    },
                    "expires_in": 43200,
                }
            },
        },
        "authentication": {
            "user": {
                "acr": INTERNETPROTOCOLPASSWORD,
                "class": "idpyoidc.server.user_authn.user.UserPassJinja2",
                "kwargs": {"verify_endpoint": "/verify/user", "template": "login.jinja2", "db": users},
            }
        },
        "template_dir": str(folder),
        "cookie_handler": {
            "class": "idpyoidc.server.cookie_handler.CookieHandler",
            "kwargs": {"keys": keys({"type": "OCT", "use": ["enc"]}, {"type": "OCT", "use": ["sig"]})},
        },
        "session_params": {"encrypter": crypt},
        "endpoint": {
            "provider_info": endpoint(
                ".well-known/openid-configuration", "oidc.provider_config.ProviderConfiguration", client_authn_method=None
            ),
            "authorization": endpoint("authorization", "oidc.authorization.Authorization", client_authn_method=None),
            "token": endpoint(
                "token",
                "oidc.token.Token",
                client_authn_method=[*methods, "public"],
                grant_types_helpers=helpers,
                revoke_refresh_on_issue=True,
            ),
            "registration": endpoint("registration", "oidc.registration.Registration", client_authn_method=None),
            "registration_read": endpoint(
                "registration_api", "oidc.read_registration.RegistrationRead", client_authn_method=["bearer_header"]
            ),
            "token_revocation": endpoint(
                "revocation", "oauth2.token_revocation.TokenRevocation", client_authn_method=[*methods, "public"]
            ),
            "introspection": endpoint(
                "introspection",
                "oauth2.introspection.Introspection",
                client_authn_method=methods,
                enforce_audience_restriction=False,
            ),
        },
        "token_handler_args": {
            "code": {"lifetime": 600, "kwargs": {"crypt_conf": crypt}},
            "token": {"class": "idpyoidc.server.token.jwt_token.JWTToken", "kwargs": {"lifetime": 600}},
            "refresh": {"class": "idpyoidc.server.token.jwt_token.JWTToken", "kwargs": {"lifetime": 43200}},
            "id_token": {"class": "idpyoidc.server.token.id_token.IDToken", "kwargs": {}},
        },
        "userinfo": {"class": "idpyoidc.server.user_info.UserInfo", "kwargs": {"db": {"made-up-user": {}}}},
    }


def register(server, name, method, key):
    context = server.context
    context.cdb[name] = {
        "client_id": name,
        "client_secret": SECRET,
        "client_salt": "made-up",
        "client_authn_method": [method],
        "token_endpoint_auth_method": method,
        "redirect_uris": [(REDIRECT, None)],
        "response_types_supported": ["code"],
        "grant_types_supported": list(HELPERS),
        "allowed_scopes": ["openid", "profile", "offline_access"],
        "id_token_signed_response_alg": "RS256",
    }
    if method == "private_key_jwt":
        server.keyjar.add_keys(name, [key])
    else:
        server.keyjar.add_symmetric(name, SECRET)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.answer(body if self.path == "/registration" else dict(parse_qsl(body)))

    def send(self, status, body="", kind="application/json", headers=()):
        data = body.encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, fields):
        path = urlsplit(self.path).path
        if path in ROUTES:
            return self.protocol(server.get_endpoint(ROUTES[path]), fields)
        match path:
            case "/jwks":
                self.send(200, server.keyjar.export_jwks_as_json())
            case "/verify/user":
                self.verify(fields)
            case "/api":
                is_good = active(self.headers.get("Authorization", "").removeprefix("Bearer "))
                self.send(200 if is_good else 401, "{}")
            case "/redirect":
                self.send(200, REDIRECT)
            case "/without-pkce":
                token = server.get_endpoint("token")
                token.post_parse_request = [each for each in token.post_parse_request if each is not post_token_parse]
                self.send(200, "{}")
            case "/expire":
                for token in tokens("access_token"):
                    token.expires_at = utc_time_sans_frac() - 1
                self.send(200, "{}")
            case "/end":
                for token in tokens("refresh_token"):
                    token.revoke()
                self.send(200, "{}")
            case _:
                self.send(404)

    def protocol(self, endpoint, fields):
        http_info = {
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "method": self.command,
            "url": ADDRESS + self.path,
        }
        try:
            request = endpoint.parse_request(fields, http_info=http_info)
            if isinstance(request, ResponseMessage) and "error" in request:
                return self.send(400, request.to_json())
            arguments = endpoint.process_request(request, http_info=http_info)
        except Exception as error:
            return self.send(400, ResponseMessage(error="invalid_request", error_description=str(error)).to_json())
        if "http_response" in arguments:
            return self.send(200, arguments["http_response"], "text/html")
        if isinstance(arguments, ResponseMessage) and "error" in arguments:
            return self.send(400, arguments.to_json())
        self.respond(endpoint, request, arguments)

    def respond(self, endpoint, request, arguments):
        info = endpoint.do_response(request=request, **arguments)
        if info.get("response_placement", endpoint.response_placement) == "url":
            return self.send(302, headers=[("Location", info["response"])])
        kinds = dict(info["http_headers"])
        status = info.get("response_code", 400 if "error" in arguments else 200)
        self.send(status, info["response"], kinds.get("Content-type", "application/json"))

    def verify(self, fields):
        """The page comes back; idpyoidc's example answers a wrong password with a bare 403."""
        method = server.context.authn_broker.get_method_by_id("user")
        try:
            user = method.verify(**fields)
        except FailedAuthentication:
            return self.send(403, "Authentication failed", "text/plain")
        told = method.unpack_token(fields["token"])
        request = AuthorizationRequest().from_urlencoded(told["query"])
        endpoint = server.get_endpoint("authorization")
        session = endpoint.create_session(request, user, told["authn_class_ref"], told["iat"], method)
        arguments = endpoint.authz_part2(request=request, session_id=session)
        if isinstance(arguments, ResponseMessage) and "error" in arguments:
            return self.send(400, arguments.to_json())
        self.respond(endpoint, request, arguments)


ROUTES = {
    "/.well-known/openid-configuration": "provider_config",
    "/authorization": "authorization",
    "/token": "token",
    "/registration": "registration",
    "/registration_api": "registration_read",
    "/revocation": "token_revocation",
    "/introspection": "introspection",
}


def free_port():
    """For the redirect: idpyoidc compares the address as a whole, with the port (RFC 8252 section 7.3 would not)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def tokens(kind):
    grants = [value for value in server.context.session_manager.db.values() if hasattr(value, "issued_token")]
    return [token for grant in grants for token in grant.issued_token if token.token_class == kind]


def active(text):
    return any(token.value == text and token.is_active() for token in tokens("access_token"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ADDRESS = f"http://127.0.0.1:{http.server_port}"
    REDIRECT = f"http://127.0.0.1:{free_port()}/callback"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "login.jinja2").write_text(PAGE)
        (folder / "users.json").write_text(json.dumps({"made-up-user": "made-up-password"}))
        server = Server(OPConfiguration(conf=configuration(ADDRESS, folder), base_path=name), cwd=name)
        public = RSAKey().load_key(load_pem_public_key(Path(sys.argv[1]).read_bytes()))
        for client, method in CLIENTS.items():
            register(server, client, method, public)
        register(server, AWKWARD, "client_secret_basic", public)
        print(ADDRESS, flush=True)
        http.serve_forever()
