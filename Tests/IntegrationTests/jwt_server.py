"""A token endpoint that takes signed assertions, checked by jwcrypto: jwt_server.py KEY.pem [SECRET-FILE]

POST /token with a client_assertion or a jwt-bearer assertion (RFC 7523 section 3): signature, audience, times, and a jti
that was not seen before.

POST /describe with the same checks the signature alone, and gives a token that is what the assertion says: base64url of
{"header": ..., "claims": ...}, and "issuer" in the place of /token names it in its metadata (RFC 8414).

POST /app/installations/7/access_tokens takes the assertion as a bearer token, as GitHub does of an App: RS256, issued a while
ago, for ten minutes at most, and nothing in the body but JSON.

Prints its address when it listens.
"""

import base64
import datetime
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from jwcrypto import jwk, jwt

seen = set()
key = jwk.JWK.from_pem(Path(sys.argv[1]).read_bytes())
secret = jwk.JWK(kty="oct", k=Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else None


def claims(assertion, address):
    token = jwt.JWT(jwt=assertion, key=None, check_claims={"aud": address})
    header = json.loads(token.token.objects["protected"])
    token.validate(secret if header["alg"] == "HS256" else key)
    claims = json.loads(token.claims)
    assert claims["jti"] not in seen and claims["exp"] - claims["iat"] <= 3600 and abs(claims["iat"] - time.time()) < 60
    seen.add(claims["jti"])
    return claims | {"alg": header["alg"], "kid": header.get("kid")}


def described(assertion):
    token = jwt.JWT(jwt=assertion, key=key)
    said = {"header": json.loads(token.header), "claims": json.loads(token.claims)}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def installation(authorization, body):
    kind, assertion = authorization.split(" ")
    said = jwt.JWT(jwt=assertion, key=key)
    header, claims, now = json.loads(said.header), json.loads(said.claims), time.time()
    assert kind == "Bearer" and header["alg"] == "RS256" and claims["iss"] == "me"
    assert claims["iat"] < now - 30 and now < claims["exp"] < now + 600 and json.loads(body) == {}
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return {"token": "made-up-installation-token", "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "permissions": {}}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        address = f"http://127.0.0.1:{server.server_port}"
        metadata = {
            "issuer": address,
            "token_endpoint": address + "/describe",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        }
        there = self.path == "/.well-known/oauth-authorization-server"
        self.answer(200 if there else 404, metadata if there else {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path.startswith("/app/"):
            try:
                return self.answer(201, installation(self.headers["Authorization"], body))
            except Exception as error:
                print(repr(error), file=sys.stderr, flush=True)
                return self.answer(401, {"message": "made-up refusal"})
        form = {k: v[0] for k, v in parse_qs(body).items()}
        status, answer = 200, {}
        try:
            if self.path == "/describe":
                token = described(form.get("assertion") or form["client_assertion"])
                return self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})
            address = f"http://127.0.0.1:{server.server_port}/token"
            if form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer":
                found = claims(form["assertion"], address)
            else:
                assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                found = claims(form["client_assertion"], address)
                assert found["iss"] == found["sub"] == form["client_id"]
            token = f"{found['alg']}.{found['kid']}.{found['iss']}.{found.get('scope', '').replace(' ', '+')}"
            answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        except Exception as error:  # whatever is wrong with it, it is refused
            print(repr(error), file=sys.stderr, flush=True)
            status, answer = 401, {"error": "invalid_client"}
        self.answer(status, answer)

    def answer(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
