"""A server whose tokens are bound to a key (RFC 9449), and an API that takes them; jwcrypto checks the proofs: dpop_server.py

POST /token             client_credentials and refresh_token, which rotates and stays bound to the key of its first use; the
                        refresh token "made-up-refresh" is good once
POST /bearer            the same, with a token that is bound to nothing
/api/...                what was asked, as JSON, for a request with a token and a proof
GET /state              counters, and the thumbprint of every key that was seen
POST /admin/nonces      from now on, the token endpoint and the API want other nonces; each has its own

Each proof is taken once. Prints its address when it listens.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from jwcrypto import jwk, jws

used, keys = set(), set()
tokens, refresh_tokens = {}, {"made-up-refresh": None}
nonces = {"token": None, "api": None}
state = {"token_requests": 0, "issued": 0, "nonces_wanted": 0, "refused": 0}


class Refused(Exception):
    pass


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def check(handler, place, token=None):
    """RFC 9449 section 4.3. Returns the key's thumbprint."""
    proofs = handler.headers.get_all("DPoP") or []
    if len(proofs) != 1:
        raise Refused("invalid_dpop_proof")
    header = json.loads(base64.urlsafe_b64decode(proofs[0].split(".")[0] + "=="))
    public = header["jwk"]
    if header["typ"] != "dpop+jwt" or header["alg"] != "ES256" or set(public) != {"kty", "crv", "x", "y"}:
        raise Refused("invalid_dpop_proof")
    key = jwk.JWK(**public)
    signed = jws.JWS()
    signed.deserialize(proofs[0], key)
    claims = json.loads(signed.payload)
    if nonces[place] and claims.get("nonce") != nonces[place]:
        state["nonces_wanted"] += 1
        raise Refused("use_dpop_nonce")
    address = f"http://127.0.0.1:{server.server_port}" + handler.path.split("?")[0]
    ath = b64url(hashlib.sha256(token.encode()).digest()) if token else None
    fits = claims["htm"] == handler.command and claims["htu"] == address and claims.get("ath") == ath
    if not fits or abs(claims["iat"] - time.time()) > 60 or claims["jti"] in used:
        raise Refused("invalid_dpop_proof")
    used.add(claims["jti"])
    keys.add(key.thumbprint())
    return key.thumbprint()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.handle_one("")

    def do_POST(self):
        self.handle_one(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def handle_one(self, body):
        place = "api" if self.path.startswith("/api/") else "token"
        try:
            if self.path == "/state":
                return self.answer(200, state | {"keys": sorted(keys)})
            if self.path == "/admin/nonces":
                for name in nonces:
                    nonces[name] = secrets.token_urlsafe(12)
                return self.answer(200, {})
            self.answer(200, self.api(body) if place == "api" else self.token(body), nonces[place])
        except Refused as refusal:
            state["refused"] += 1
            print(self.path, refusal, file=sys.stderr, flush=True)
            error = str(refusal)
            headers = {"WWW-Authenticate": f'DPoP error="{error}"'} if place == "api" else {}
            self.answer(401 if place == "api" else 400, {"error": error}, nonces[place], headers)

    def api(self, body):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "DPoP" or token not in tokens:
            raise Refused("invalid_token")
        if tokens[token] != check(self, "api", token):
            raise Refused("invalid_dpop_proof")
        return {"method": self.command, "path": self.path, "body": body}

    def token(self, body):
        state["token_requests"] += 1
        form = {name: values[0] for name, values in parse_qs(body).items()}
        thumbprint = check(self, "token")
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "DPoP", "expires_in": 3600}
        if form["grant_type"] == "refresh_token":
            owner = refresh_tokens.pop(form["refresh_token"], "nobody")
            if owner not in (None, thumbprint):
                raise Refused("invalid_grant")
            answer["refresh_token"] = secrets.token_urlsafe(16)
            refresh_tokens[answer["refresh_token"]] = thumbprint
            answer |= {"refresh_token_timeout": 604800, "authorization_expires_in": 864000}
        if self.path == "/bearer":
            answer["token_type"] = "Bearer"
        tokens[answer["access_token"]] = thumbprint
        state["issued"] += 1
        return answer

    def answer(self, status, document, nonce=None, headers=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if nonce:
            self.send_header("DPoP-Nonce", nonce)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
