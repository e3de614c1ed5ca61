"""What a user of the machine may try against its agent: hostile_neighbour.py SOCKET KIND. Runs until it is killed.

asks     with the longest reasons and names there are, so that the log fills
renews   new tokens all the time, in every way that there is
holds    as many connections as it gets, and says nothing on them, or the half of a request
bodies   begins long bodies and never ends them
lists    what it may see, again and again
watches  asks for a token, one after the other; prints when each request began that was given one
"""

import resource
import socket
import sys
import time
import urllib.parse

path, kind = sys.argv[1:]
# More than it takes to be a nuisance.
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(path)
    return connection


def ask(target, *headers):
    with connect() as connection:
        head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", "Connection: close", *headers])
        connection.sendall((head + "\r\n\r\n").encode())
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def asks():
    reason = urllib.parse.quote("e" + "\u0301" * 2000)
    while True:
        for name in ("torq", "x" * 512):
            ask("/v1/tokens/" + name, "Claviger-Reason: " + reason)


def renews():
    while True:
        for query in ("fresh=1", "rejected=1", "min_ttl=3599", "scope=a%20b", "scope=b%20a%20a"):
            ask("/v1/tokens/torq?" + query)


def holds():
    kept = []
    while True:
        try:
            connection = connect()
            connection.sendall([b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nA: b"][len(kept) % 3])
            kept.append(connection)
        except OSError:
            # All are taken: those that were closed are tried anew.
            time.sleep(0.05)
            kept = kept[len(kept) // 2 :]


def bodies():
    kept = []
    while True:
        try:
            connection = connect()
            connection.sendall(b"POST /v1/unlock HTTP/1.1\r\nHost: a\r\nContent-Length: 65000\r\n\r\n" + b"a" * 30000)
            kept.append(connection)
        except OSError:
            time.sleep(0.05)
            kept = kept[len(kept) // 2 :]


def lists():
    while True:
        ask("/v1/credentials")


def watches():
    while True:
        began = time.monotonic_ns()
        if b"access_token" in ask("/v1/tokens/torq"):
            print(began, flush=True)
        time.sleep(0.01)


while True:
    try:
        globals()[kind]()
    except OSError:
        time.sleep(0.01)
