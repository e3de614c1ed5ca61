"""A server that keeps each request as it came, byte for byte, on a free loopback port.

Prints its address when it listens. GET /wire has what came since the last time, as a JSON list of texts (ISO 8859-1, so that
no byte is lost). Whatever else is asked gets the answer that the service with this path would give; POST /answer sets another
status and body for the next request: {"status": 500, "body": "..."}.
"""

import json
import socket
import threading

ANSWERS = {
    "/v1/auth/token": {"access_token": "made-up-torq", "expires_in": 3600, "token_type": "bearer"},
    "/oauth2/token/": {"access_token": "made-up-qa", "expires_in": 36000, "scope": "all", "token_type": "Bearer"},
    "/authorization": {"access_token": "made-up-iotx", "expires_in": "899", "token_type": "access"},
    "/token": {"access_token": "made-up-google", "expires_in": 3599, "scope": "openid", "token_type": "Bearer"},
    "/oauth2/token": {"access_token": "made-up-dropbox", "expires_in": 14399, "token_type": "bearer", "uid": "1"},
}

lock = threading.Lock()
kept = []
planned = []


def read(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def serve(connection):
    with connection:
        data = read(connection)
        if not data:
            return
        method, target = data.split(b" ", 2)[:2]
        path = target.split(b"?")[0].decode()
        status, body = 200, json.dumps(ANSWERS.get(path, {}))
        with lock:
            if path == "/wire":
                body = json.dumps([request.decode("latin-1") for request in kept])
                kept.clear()
            elif path == "/answer":
                planned.append(json.loads(data.split(b"\r\n\r\n", 1)[1]))
            else:
                kept.append(data)
                if planned:
                    answer = planned.pop(0)
                    status, body = answer["status"], answer["body"]
        body = body.encode()
        head = f"HTTP/1.1 {status} Made up\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
while True:
    try:
        connection, _ = listener.accept()
    except OSError:
        break
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
