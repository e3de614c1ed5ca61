"""An OAuth 2.0 and OpenID Connect server of Authlib's, with everything that it has, on a free loopback port.

    authlib_server.py [PUBLIC-KEY-PEM]

Prints its address when it listens. Its clients have the secret "made-up-authlib-secret" and are named after the way in
which they prove themselves, or, where they do that by Basic, after their grant; its user is "made-up-user" with the
password "made-up-password". Refresh tokens rotate, and one that is used twice ends its login. GET /api welcomes tokens,
POST /device/CODE grants what a device asks for, POST /expire lets all access tokens end.

Authlib has no token exchange (RFC 8693): that grant is written here, on its parser, its client authentication and its
token store.
"""

import os
import secrets
import sys
import time
from urllib.parse import parse_qsl, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import BaseGrant, InvalidRequestError, TokenEndpointMixin, grants
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant
from authlib.oauth2.rfc8628 import DeviceCredentialDict
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc import jwk

# The server speaks to loopback only.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
SECRET = "made-up-authlib-secret"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": 1800, "password": 600, "authorization_code": 900}
tokens, codes, devices, used = {}, {}, {}, set()
server_key = jwk.RSAKey.generate_key(2048)
client_key = open(sys.argv[1]).read() if len(sys.argv) > 1 else None


def address():
    return f"http://127.0.0.1:{http.server_port}"


class Client:
    def __init__(self, name, method):
        self.name, self.method = name, method

    def get_client_id(self):
        return self.name

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(s for s in scope_to_list(scope or "") if s in ("read", "write", "openid"))

    def check_redirect_uri(self, uri):
        return urlsplit(uri).hostname == "127.0.0.1"  # any port (RFC 8252 section 7.3)

    def check_client_secret(self, secret):
        return secret == SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.method

    def check_response_type(self, kind):
        return kind == "code"

    def check_grant_type(self, grant):
        return True

    id_token_signed_response_alg = "RS256"


METHODS = {
    "client_secret_basic": "client_secret_basic",
    "client_secret_post": "client_secret_post",
    "private_key_jwt": "client_assertion_jwt",
    "client_secret_jwt": "client_assertion_jwt",
    "none": "none",
}
clients = {name: Client(name, method) for name, method in METHODS.items()}


class Token(dict):
    def __init__(self, values, client, user):
        super().__init__(values)
        self.client, self.user, self.issued, self.revoked, self.rotated = client, user, time.time(), False, False
        self.family = self

    def check_client(self, client):
        return client.name == self.client.name

    def get_scope(self):
        return self.get("scope", "")

    def get_expires_in(self):
        return self["expires_in"]

    def is_expired(self):
        return time.time() > self.issued + self["expires_in"]

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client

    def is_active(self):
        return not self.revoked and not self.is_expired()


def save_token(values, request):
    token = Token(values, request.client, request.user)
    if isinstance(request.refresh_token, Token):
        token.family = request.refresh_token.family
    for name in ("access_token", "refresh_token"):
        if name in values:
            tokens[values[name]] = token


server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
ALL = ["client_secret_basic", "client_secret_post", "client_assertion_jwt", "none"]


class Credentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL

    def authenticate_user(self, username, password):
        return username if (username, password) == ("made-up-user", "made-up-password") else None


class Code(dict):
    def __getattr__(self, name):
        return self[name]

    def get_redirect_uri(self):
        return self["redirect_uri"]

    def get_scope(self):
        return self["scope"]

    def get_nonce(self):
        return self["nonce"]

    def get_auth_time(self):
        return int(time.time())

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class AuthorizationCode(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL

    def save_authorization_code(self, code, request):
        data = request.payload.data
        codes[code] = Code(
            client=request.client.name,
            redirect_uri=request.payload.redirect_uri,
            scope=request.payload.scope or "",
            user=request.user,
            nonce=data.get("nonce"),
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        return found if found and found.client == client.name else None

    def delete_authorization_code(self, code):
        for key in [key for key, value in codes.items() if value is code]:
            del codes[key]

    def authenticate_user(self, code):
        return code.user


class OpenID(OpenIDCode):
    def exists_nonce(self, nonce, request):
        return False

    def resolve_client_private_key(self, client):
        return server_key

    def get_client_claims(self, client):
        return {"iss": address(), "aud": [client.name], "exp": int(time.time()) + 600, "iat": int(time.time())}

    def get_client_algorithm(self, client):
        return "RS256"

    def generate_user_info(self, user, scope):
        return UserInfo(sub=user)


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, text):
        token = tokens.get(text)
        if not token or token.get("refresh_token") != text or token.family.revoked:
            return None
        if token.rotated:  # used twice: the whole login ends (RFC 9700 section 4.14.2)
            token.family.revoked = True
            return None
        return token

    def authenticate_user(self, token):
        return token.user

    def revoke_old_credential(self, token):
        token.rotated = True


class Device(DeviceCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL

    def query_device_credential(self, code):
        return devices.get(code)

    def query_user_grant(self, user_code):
        credential = next(d for d in devices.values() if d["user_code"] == user_code)
        return credential.get("decision")

    def should_slow_down(self, credential):
        last, credential["asked"] = credential.get("asked", 0), time.time()
        return time.time() - last < 0.9


class Assertion(JWTBearerGrant):
    def get_audiences(self):
        return [address() + "/token"]

    def resolve_issuer_client(self, issuer):
        return clients.get(issuer)

    def resolve_client_public_key(self, client):
        return jwk.import_key(client_key, "RSA")

    def authenticate_user(self, subject):
        return subject

    def has_granted_permission(self, client, user):
        return True


class Exchange(BaseGrant, TokenEndpointMixin):
    GRANT_TYPE = EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = ALL

    def validate_token_request(self):
        self.request.client = self.authenticate_token_endpoint_client()
        form = self.request.form
        subject = tokens.get(form.get("subject_token"))
        if form.get("subject_token_type") != "urn:ietf:params:oauth:token-type:access_token" or not (
            subject and subject.is_active()
        ):
            raise InvalidRequestError("the subject token is not good")
        self.request.user = subject.user
        self.validate_requested_scope()

    def create_token_response(self):
        token = self.generate_token(scope=self.request.payload.scope, include_refresh_token=False)
        token["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        self.save_token(token)
        return 200, token, self.TOKEN_RESPONSE_HEADER


class ClientAssertion(JWTBearerClientAssertion):
    def get_audiences(self):
        # Its issuer alone (draft-ietf-oauth-rfc7523bis section 4).
        return [address()]

    def validate_jti(self, claims, jti):
        is_new = jti not in used
        used.add(jti)
        return is_new

    def resolve_client_public_key(self, client):
        return jwk.import_key(SECRET, "oct") if client.name == "client_secret_jwt" else jwk.import_key(client_key, "RSA")


class Issuer(IssuerParameter):
    def get_issuer(self):
        return address()


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ALL

    def query_token(self, text, hint):
        return tokens.get(text)

    def revoke_token(self, token, request):
        token.revoked = token.family.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ALL

    def check_permission(self, token, client, request):
        return True

    def query_token(self, text, hint):
        return tokens.get(text)

    def introspect_token(self, token):
        return {"active": token.is_active()}


class DeviceAuthorization(DeviceAuthorizationEndpoint):
    CLIENT_AUTH_METHODS = ALL
    INTERVAL = 1

    def get_verification_uri(self):
        return address() + "/device"

    def save_device_credential(self, client_id, scope, data):
        devices[data["device_code"]] = DeviceCredentialDict(
            client_id=client_id, scope=scope, expires_at=time.time() + data["expires_in"], **data
        )


server.register_client_auth_method("client_assertion_jwt", ClientAssertion())
server.register_extension(Issuer())
for grant in (Credentials, Password, Refresh, Device, Assertion, Exchange):
    server.register_grant(grant)
server.register_grant(AuthorizationCode, [CodeChallenge(required=True), OpenID(require_nonce=True)])
for endpoint in (Revocation, Introspection, DeviceAuthorization):
    server.register_endpoint(endpoint)


@app.post("/token")
def token():
    return server.create_token_response()


pushed = {}


@app.post("/par")
def par():
    """RFC 9126 section 2: the client authenticates as at the token endpoint."""
    client = server.authenticate_client(server.create_oauth2_request(request), ALL, "token")
    assert request.form["client_id"] == client.get_client_id()
    form = {name: value for name, value in request.form.items() if not name.startswith("client_")}
    name = "urn:ietf:params:oauth:request_uri:" + secrets.token_urlsafe(24)
    pushed[name] = (client.get_client_id(), form)
    return jsonify(request_uri=name, expires_in=60), 201


@app.get("/authorize")
def authorize():
    if "request_uri" in request.args:
        # Once, for the client that handed it in, and with nothing else beside it (section 4).
        client, form = pushed.pop(request.args["request_uri"])
        assert request.args.to_dict() == {"client_id": client, "request_uri": request.args["request_uri"]}
        with app.test_request_context("/authorize", query_string=form | {"client_id": client}, base_url=address()):
            return consent()
    return consent()


def consent():
    # Who asks is logged in, and consents.
    return server.create_authorization_response(grant=server.get_consent_grant("made-up-user"), grant_user="made-up-user")


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/device_authorization")
def device_authorization():
    return server.create_endpoint_response("device_authorization")


@app.post("/device/<code>")
def decide(code):
    for credential in devices.values():
        if credential["user_code"] == code:
            credential["decision"] = ("made-up-user", request.args["approve"] == "1")
    return "", 204


@app.post("/expire")
def expire():
    for token in tokens.values():
        token["expires_in"] = -1
    return "", 204


@app.get("/api")
def api():
    token = tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
    return (jsonify(welcome=token.user), 200) if token and token.is_active() else ("", 401)


@app.get("/.well-known/openid-configuration")
def metadata():
    return jsonify(
        issuer=address(),
        token_endpoint=address() + "/token",
        authorization_endpoint=address() + "/authorize",
        device_authorization_endpoint=address() + "/device_authorization",
        revocation_endpoint=address() + "/revoke",
        introspection_endpoint=address() + "/introspect",
        grant_types_supported=["client_credentials", "password", "authorization_code", "refresh_token", EXCHANGE],
        token_endpoint_auth_methods_supported=list(METHODS),
        authorization_response_iss_parameter_supported=True,
        response_types_supported=["code"],
    )


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    print(address(), flush=True)
    http.serve_forever()
