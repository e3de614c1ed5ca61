"""As much of an OpenID Connect provider as oidc-agent needs for a token: oidc_server.py; prints its address."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.answer(
            {
                "issuer": address, "token_endpoint": address + "/token", "authorization_endpoint": address + "/authorize",
                "registration_endpoint": address + "/register", "revocation_endpoint": address + "/revoke",
                "scopes_supported": ["openid", "offline_access"], "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "password"],
            }
        )

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(
            {
                "access_token": "made-up-access-token-0123456789abcdef", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "made-up-refresh-token", "scope": "openid offline_access",
            }
        )


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
