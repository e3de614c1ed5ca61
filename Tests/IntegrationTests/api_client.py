"""A job behind the proxy, which knows nothing but $API_BASE_URL: api_client.py

Prints a line for each thing that is not as it should be, and exits with 0 if there is none.
"""

import http.client
import json
import os
import socket
import sys
from urllib.parse import urlsplit

base = urlsplit(os.environ["API_BASE_URL"])
flaws = []


def check(what, holds):
    if not holds:
        flaws.append(what)


def ask(method, path, body=None, headers={}, **options):
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
    connection.request(method, base.path + path, body, headers, **options)
    answer = connection.getresponse()
    return answer, answer.read()


check("the environment has a token", not any("TOKEN" in name or name.startswith("CLAVIGER") for name in os.environ))

answer, body = ask("GET", "/echo?a=b%20c", headers={"Authorization": "Basic bWFkZTp1cA==", "X-Own": "1", "Connection": "X-Own"})
seen = json.loads(body)
check("the path is not passed on", seen["path"] == "/v1/echo?a=b%20c")
check("there is no token", seen["bearer"])
check("what belongs to the connection is passed on", "x-own" not in seen["headers"])
check("the next page is elsewhere", answer.headers["Link"].startswith("<" + base.geturl() + "/echo?page=2>"))

for method in ["POST", "PUT", "PATCH", "DELETE"]:
    seen = json.loads(ask(method, "/echo", b"x" * 1000)[1])
    check(f"{method} arrives changed: {seen}", (seen["method"], seen["length"]) == (method, 1000))
seen = json.loads(ask("POST", "/echo", b"x" * (5 << 20))[1])
check("a long body is cut", seen["length"] == 5 << 20)
seen = json.loads(ask("POST", "/echo", iter([b"abc", b"def"]), encode_chunked=True)[1])
check("a body in pieces is cut", seen["length"] == 6)

# Whoever waits for a word before the body gets it, and an answer without a body leaves the connection whole.
connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
connection.putrequest("POST", base.path + "/echo")
connection.putheader("Content-Length", "3")
connection.putheader("Expect", "100-continue")
connection.endheaders()
check("nobody says to go on", connection.sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n")
connection.send(b"abc")
check("the awaited body is cut", json.loads(connection.getresponse().read())["length"] == 3)
connection.request("HEAD", base.path + "/echo")
answer = connection.getresponse()
check("HEAD has no length, or a body", int(answer.headers["Content-Length"]) > 0 and answer.read() == b"")
connection.request("GET", base.path + "/echo")
check("nothing comes after HEAD", connection.getresponse().status == 200)

# Both ways at once: each piece is read back before the next is sent.
connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
connection.putrequest("POST", base.path + "/duplex")
connection.putheader("Transfer-Encoding", "chunked")
connection.endheaders()
connection.send(b"5\r\nfirst\r\n")
answer = connection.getresponse()
check("the first piece does not come back", answer.read(5) == b"first")
connection.send(b"6\r\nsecond\r\n")
check("the second piece does not come back", answer.read(6) == b"second")
connection.send(b"0\r\n\r\n")
check("there is more", answer.read() == b"")

# A token that is refused in the middle of a job is replaced, and the request is sent again.
answer, body = ask("POST", "/revoked", b"x" * 1000)
check(f"a refused token is not replaced: {answer.status}", answer.status == 200 and json.loads(body)["length"] == 1000)

answer, _ = ask("GET", "/redirect?/v1/echo")
check("a redirect below the API leads elsewhere", (answer.status, answer.headers["Location"]) == (302, base.geturl() + "/echo"))
for place in ["https://other.example/", "//other.example/", "/v2", "http://127.0.0.1/"]:
    answer, body = ask("GET", "/redirect?" + place)
    check(f"a redirect to {place} passes", answer.status == 502 and b"redirects to another place" in body)
    check(f"{place} is named", "Location" not in answer.headers)


def raw(target, *fields):
    """The status and the body's title, for a request that http.client would not send."""
    with socket.create_connection((base.hostname, base.port), timeout=30) as plain:
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: a", b"Connection: close", *fields]
        plain.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = http.client.HTTPResponse(plain)
        answer.begin()
        # The parser's own refusals have no body.
        return answer.status, json.loads(answer.read() or b"{}").get("title", "")


# Paths are bytes: the API sees those that were sent, or none.
for path in [
    "/%ff", "/%c0?Action=Delete", "/caf%E9.txt", "/a..b", "/...", "/v1.2/x;y=1", "/group%2Fproject", "/100%", "/a|b", "/a%00b",
    "//a", "/?", "?", "/?a=../..&b=%ff",
]:
    answer, body = ask("GET", "/echo" + path)
    check(f"{path} arrives as {body}", answer.status == 200 and json.loads(body)["path"] == "/v1/echo" + path)
for path in [
    "/../v2", "/%2e%2e/v2", "/..;/v2", "/.%00./v2", "/%252e%252e/v2", "/%c0%ae%c0%ae/v2", "/..%5cv2", "/a%2f..%2f../v2",
    "/%ef%bc%8e%ef%bc%8e/v2",
]:
    check(f"the way out is open: {path}", ask("GET", path)[0].status == 400)
for path in [b"/caf\xe9", b"/caf\xc3\xa9", b"/\xff?a", b"/?\xff"]:
    check(f"{path} is sent on", raw(base.path.encode() + path)[0] == 400)

# An upgrade is refused in words; HTTP/2 without TLS, which some clients ask for each time, is passed over.
status, title = raw(base.path.encode() + b"/echo", b"Connection: Upgrade", b"Upgrade: websocket")
check(f"an upgrade is answered {status}: {title}", status == 501 and "WebSocket" in title)
status, _ = raw(base.path.encode() + b"/echo", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
check(f"a client that offers HTTP/2 is answered {status}", status == 200)
check("TRACE passes", ask("TRACE", "/echo")[0].status == 405)
connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
for target in ["http://other.example/", "/", "/" + "0" * 64 + "/echo", base.path[:-1] + "/echo", "*"]:
    connection.request("GET", target)
    answer = connection.getresponse()
    answer.read()
    check(f"{target} is answered {answer.status}", answer.status == 404)
    connection.close()
try:
    check("a cut answer passes for a whole one", len(ask("GET", "/cut")[1]) == 100)
    flaws.append("a cut answer passes for a whole one")
except (http.client.IncompleteRead, ConnectionResetError):
    pass

print("\n".join(flaws))
sys.exit(1 if flaws else 0)
