"""An API behind TLS, for the proxy to call: api_server.py CERTIFICATE KEY

Prints its address. What it was sent comes back, so that a test sees the other side.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

refused = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def chunks(self):
        """The body's pieces as they come."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, status, value, **headers):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do(self):
        token = self.headers.get("Authorization", "")
        if self.path == "/v1/duplex":
            # Each piece goes back before the next is read.
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in self.chunks():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        body = b"".join(self.chunks())
        if self.path.startswith("/v1/redirect?"):
            self.answer(302, {}, Location=self.path.split("?", 1)[1])
        elif self.path == "/v1/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif self.path.startswith("/v1/revoked") and (not refused or token in refused):
            # The first token that comes here is not taken any more.
            refused.add(token)
            self.answer(401, {"length": len(body)}, **{"WWW-Authenticate": 'Bearer error="invalid_token"'})
        else:
            query = [text for text in self.path.split("?", 1)[1:] if "key=" in text]
            self.answer(
                200,
                {
                    "key": self.headers.get("X-Key", ""), "method": self.command, "path": self.path, "length": len(body), "bearer": token.startswith("Bearer "),
                    "headers": sorted(name.lower() for name in self.headers),
                },
                Link=f'<https://{self.headers["Host"]}/v1/echo?{"&".join(["page=2", *query])}>; rel="next"',
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"https://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
