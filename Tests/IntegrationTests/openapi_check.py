"""Holds a running agent against its description: openapi_check.py DESCRIPTION SOCKET CREDENTIAL.

Every operation that reads is asked for and its answer held against its schema, as is what is refused. Prints what was
asked.
"""

import http.client
import json
import socket
import sys

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

description, path, credential = sys.argv[1:]
document = yaml.safe_load(open(description))
validate(document)


def ask(method, target):
    connection = http.client.HTTPConnection("agent")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request(method, target)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read()


def check(schema, body):
    Draft202012Validator({"components": document["components"], **schema}).validate(json.loads(body))


def resolve(node):
    while "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


for target, operations in document["paths"].items():
    for method, operation in operations.items():
        if method != "get":
            continue
        for name, wanted in ((credential, "200"), ("nobody", "default")):
            status, kind, body = ask("GET", target.replace("{name}", name))
            if "{name}" not in target and wanted == "default":
                continue
            assert (status == 200) == (wanted == "200"), (target, status)
            content = resolve(operation["responses"][wanted])["content"]
            check(content[kind]["schema"], body)
            print(f"GET {target} {status}")
status, kind, body = ask("GET", "/v1/nonsense")
assert status == 404
check({"$ref": "#/components/schemas/Problem"}, body)
# What is not in the description is not in the agent either.
for method in ("post", "put", "patch", "delete"):
    for target, operations in document["paths"].items():
        if method not in operations:
            status, _, _ = ask(method.upper(), target.replace("{name}", credential))
            assert status == 405, (method, target, status)
