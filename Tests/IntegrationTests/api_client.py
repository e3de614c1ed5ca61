"""A job behind the proxy, which knows nothing but $API_BASE_URL: api_client.py

Prints a line for each thing that is not as it should be, and exits with 0 if there is none.
"""

import http.client
import json
import os
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

check("the way out is open", ask("GET", "/../v2")[0].status == 400)
check("the encoded way out is open", ask("GET", "/%2e%2e/v2")[0].status == 400)
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
