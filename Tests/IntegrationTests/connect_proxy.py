"""A proxy that knows one host: connect_proxy.py PORT tunnels every CONNECT to that port of this machine."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


class Proxy(BaseHTTPRequestHandler):
    def do_CONNECT(self):
        assert self.path == "auth.example.test:443", self.path
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as target:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(target, self.connection), daemon=True)
            back.start()
            pump(self.connection, target)
            back.join()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
