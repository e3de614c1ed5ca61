"""A token endpoint that takes signed assertions, checked by jwcrypto: jwt_server.py KEY.pem [SECRET-FILE]

POST /token with a client_assertion or a jwt-bearer assertion (RFC 7523 section 3): signature, audience, times, and a jti
that was not seen before. Prints its address when it listens.
"""

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


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
        status, answer = 200, {}
        try:
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
