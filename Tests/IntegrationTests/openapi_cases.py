"""Runs schemathesis, with all its checks, over the operations of a running agent.

It speaks TCP, the agent a Unix socket: a bridge passes the bytes on, as another user where one is named.
"""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

import yaml

arguments = argparse.ArgumentParser()
arguments.add_argument("description")
arguments.add_argument("socket")
arguments.add_argument("--name", help="a credential that there is, to ask for that alone")
arguments.add_argument("--uid", type=int, help="who asks")
arguments.add_argument("--examples", default="20", help="for each operation")
arguments.add_argument("--seed", default="1")
arguments.add_argument("--leave-out", action="append", default=[], help="an operation")
arguments.add_argument("--without", default="", help="a check")
given = arguments.parse_args()


def copy(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener):
    while True:
        caller, _ = listener.accept()
        agent = socket.socket(socket.AF_UNIX)
        agent.connect(given.socket)
        for ends in ((caller, agent), (agent, caller)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


# 421 is for a vault that is well named, and not the agent's; 422 for a lifetime that no token has.
settings = """[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 421, 422, 429, "5xx"]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 421, 422, 429]
"""
if given.name:
    settings += f'[parameters]\n"path.name" = "{given.name}"\n'

# Python takes an interim answer for the last one.
document = yaml.safe_load(pathlib.Path(given.description).read_text())
for operations in document["paths"].values():
    for operation in operations.values():
        parameters = operation.get("parameters", [])
        operation["parameters"] = [one for one in parameters if not one.get("$ref", "").endswith("/interim")]

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
bridge = os.fork()
if bridge == 0:
    if given.uid is not None:
        os.setgroups([])
        os.setresgid(given.uid, given.uid, given.uid)
        os.setresuid(given.uid, given.uid, given.uid)
    serve(listener)
try:
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "schemathesis.toml").write_text(settings)
        pathlib.Path(folder, "description.yaml").write_text(yaml.safe_dump(document))
        command = [os.path.join(os.path.dirname(sys.executable), "st"), "run", "description.yaml"]
        command += ["--url", f"http://127.0.0.1:{port}", "--checks", "all", "--no-color"]
        command += ["--max-examples", given.examples, "--seed", given.seed]
        if given.without:
            command += ["--exclude-checks", given.without]
        for operation in given.leave_out:
            command += ["--exclude-operation-id", operation]
        ended = subprocess.run(command, cwd=folder)
finally:
    os.kill(bridge, 9)
sys.exit(ended.returncode)
