"""An endpoint that answers in every way that it should not. Python's standard library alone.

usage: endpoint_server.py MODE [CERTIFICATE KEY]

MODE is plain, tls, tls11 (no newer version), notls (answers a TLS handshake with text) or hangup (closes at once). Prints
its address, then serves until it is killed. What it does with a request depends on the request's path; one that begins with
/wire is answered with its own target, byte for byte.
"""
import gzip
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

BODY = b'{"access_token":"made-up","refresh_token":"made-up-too","padding":"' + b"abc" * 100 + b'"}'
requests = []


def raw_deflate(data):
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def head(length, *fields):
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def coded(coding, body):
    return head(len(body), f"Content-Encoding: {coding}") + body


ANSWERS = {
    "/whole": head(len(BODY)) + BODY,
    "/cut": head(len(BODY)) + BODY[:100],
    "/cut-chunk": head(None, "Transfer-Encoding: chunked") + b"64\r\n" + BODY[:100] + b"\r\n",
    "/to-the-end": head(None, "Connection: close") + BODY,
    "/half-head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "/nothing": b"",
    "/garbage": b"made up\r\n\r\n",
    "/large": head((4 << 20) + 1) + b"a" * ((4 << 20) + 1),
    "/gzip": coded("gzip", gzip.compress(BODY)),
    "/deflate": coded("deflate", zlib.compress(BODY)),
    "/raw": coded("deflate", raw_deflate(BODY)),
    "/not-gzip": coded("gzip", BODY),
    "/not-deflate": coded("deflate", BODY),
    "/bomb": coded("gzip", gzip.compress(b"a" * ((4 << 20) + 1))),
    "/cut-gzip": head(1000, "Content-Encoding: gzip") + gzip.compress(BODY)[:-12],
    "/count": None,
}


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    fields, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in fields.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < lengths[0]:
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    return fields.split(b" ")[1].decode("latin-1")


def answer(connection, plain, path):
    if path == "/count":
        count = str(len(requests)).encode()
        connection.sendall(head(len(count)) + count)
    elif path.startswith("/wire"):
        connection.sendall(head(len(path), "Connection: close") + path.encode("latin-1"))
    elif path == "/stall":
        connection.sendall(ANSWERS["/cut"])
        time.sleep(60)
    elif path == "/silent":
        time.sleep(60)
    elif path == "/reset":
        # To close with this is to reset.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(plain.fileno())
        plain.detach()
    elif path == "/broken-tls":
        # Behind the handshake, in the place of a TLS record.
        socket.socket(fileno=socket.dup(plain.fileno())).sendall(b"this is no TLS record, whatever it was")
        time.sleep(1)
    else:
        connection.sendall(ANSWERS[path])


def serve(plain, mode, context):
    connection = plain
    try:
        if mode == "hangup":
            return
        if mode == "notls":
            plain.recv(1)
            plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            time.sleep(1)
            return
        if context:
            connection = context.wrap_socket(plain, server_side=True)
        path = read_request(connection)
        if path:
            requests.append(path)
            answer(connection, connection, path)
    except OSError:
        pass
    finally:
        connection.close()


def main():
    mode = sys.argv[1]
    context = None
    if mode.startswith("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        if mode == "tls11":
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "http" if mode == "plain" else "https"
    print(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], mode, context), daemon=True).start()


main()
