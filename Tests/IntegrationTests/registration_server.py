"""A server where clients register themselves (RFC 7591) and are managed (RFC 7592), and an API that says who gives tokens for
it (RFC 9728); jwcrypto checks assertions: registration_server.py

GET  /api/things       401 with a challenge, or what a token is good for
POST /register         wants the initial access token "made-up-initial" after POST /admin/closed
GET, PUT, DELETE /register/ID
POST /token            client_credentials by Basic, post, or an assertion
POST /admin/X          closed, keeps (updates keep the secret), loses (an update's answer is lost), refuses (all updates),
                       expires (secrets end in an hour), nomanage (registrations can't be managed), post (clients are
                       registered with client_secret_post), elsewhere (the API is described as another one),
                     forgets (all clients, at once)
GET  /state            the registered clients, without their secrets, and how often each request came

Every read and update gives another registration token. Prints its address when it listens.
"""

import base64
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from jwcrypto import jwk, jwt

clients, tokens, modes, counts = {}, set(), set(), {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value=None, **headers):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        base = f"http://127.0.0.1:{server.server_port}"
        path, body = self.path.split("?")[0], self.body()
        key = f"{self.command} {'/register/ID' if path.startswith('/register/') else path}"
        counts[key] = counts.get(key, 0) + 1
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path.startswith("/admin/"):
            modes.add(path.removeprefix("/admin/"))
            if path == "/admin/forgets":
                clients.clear()
            return self.answer(204)
        if path == "/state":
            public = {id: {k: v for k, v in c.items() if "secret" not in k and "token" not in k} for id, c in clients.items()}
            return self.answer(200, {"clients": public, "counts": counts})
        if path == "/.well-known/oauth-authorization-server":
            methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
            return self.answer(200, {
                "issuer": base, "token_endpoint": base + "/token", "registration_endpoint": base + "/register",
                "authorization_endpoint": base + "/authorize", "grant_types_supported": ["client_credentials", "authorization_code"],
                "token_endpoint_auth_methods_supported": methods})
        if path == "/.well-known/oauth-protected-resource/api":
            resource = "https://made-up.example/api" if "elsewhere" in modes else base + "/api"
            return self.answer(200, {
                "resource": resource, "authorization_servers": [base, "https://other.example"], "scopes_supported": ["read", "write"]})
        if path.startswith("/api/"):
            if bearer in tokens:
                return self.answer(200, {"welcome": True})
            place = base + "/.well-known/oauth-protected-resource/api"
            return self.answer(401, {}, WWW_Authenticate=f'Bearer realm="a, b", resource_metadata="{place}", scope="read"')
        if path == "/register" and self.command == "POST":
            if "closed" in modes and bearer != "made-up-initial":
                return self.answer(401, {"error": "invalid_token"})
            return self.register(json.loads(body), base)
        if path.startswith("/register/"):
            return self.manage(path.removeprefix("/register/"), bearer, body, base)
        if path == "/token":
            return self.token(parse_qs(body.decode()), base)
        return self.answer(404)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def register(self, metadata, base):
        if any(not uri.startswith("http://127.0.0.1:") for uri in metadata.get("redirect_uris", [])):
            return self.answer(400, {"error": "invalid_redirect_uri", "error_description": "made-up words"})
        id = "made-up-" + secrets.token_hex(4)
        if "post" in modes and metadata["token_endpoint_auth_method"] == "client_secret_basic":
            metadata["token_endpoint_auth_method"] = "client_secret_post"
        clients[id] = {**metadata, "client_id": id}
        if metadata["token_endpoint_auth_method"] != "private_key_jwt":
            clients[id]["client_secret"] = "made-up-secret-" + secrets.token_hex(8)
        return self.answer(201, self.shown(id, base))

    def shown(self, id, base):
        client = clients[id]
        if "nomanage" not in modes:
            client["registration_access_token"] = "made-up-manage-" + secrets.token_hex(8)
            client["registration_client_uri"] = base + "/register/" + id
        if "client_secret" in client:
            client["client_secret_expires_at"] = int(time.time()) + 3600 if "expires" in modes else 0
        return client

    def manage(self, id, bearer, body, base):
        client = clients.get(id)
        if client is None or bearer != client["registration_access_token"]:
            return self.answer(401)
        if self.command == "DELETE":
            del clients[id]
            return self.answer(204)
        if self.command == "PUT":
            metadata = json.loads(body)
            own = {"client_secret", "client_secret_expires_at", "registration_access_token", "registration_client_uri"}
            if "refuses" in modes or own & metadata.keys() or metadata.get("client_id") != id:
                return self.answer(400, {"error": "invalid_client_metadata"})
            client.update(metadata)
            if "client_secret" in client and "keeps" not in modes:
                client["client_secret"] = "made-up-secret-" + secrets.token_hex(8)
            if "loses" in modes:
                modes.discard("loses")
                self.close_connection = True
                return
        self.answer(200, self.shown(id, base))

    def token(self, form, base):
        def one(name):
            return form.get(name, [""])[0]

        basic = self.headers.get("Authorization", "").removeprefix("Basic ")
        id, secret = (unquote(t) for t in base64.b64decode(basic).decode().split(":")) if basic else (one("client_id"), one("client_secret"))
        client = clients.get(id)
        if one("client_assertion"):
            id = json.loads(base64.urlsafe_b64decode(one("client_assertion").split(".")[1] + "=="))["sub"]
            client = clients.get(id)
            try:
                jwt.JWT(jwt=one("client_assertion"), key=jwk.JWKSet.from_json(json.dumps(client["jwks"])), algs=["ES256"])
            except Exception:
                return self.answer(401, {"error": "invalid_client"})
        elif client is None or client.get("client_secret") != secret or (
            client["token_endpoint_auth_method"] != ("client_secret_basic" if basic else "client_secret_post")
        ):
            return self.answer(401, {"error": "invalid_client"})
        token = secrets.token_urlsafe(16)
        tokens.add(token)
        self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 600})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
