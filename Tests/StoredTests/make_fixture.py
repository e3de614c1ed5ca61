"""Makes the next generation of fixtures: everything that a version of claviger stores, every member filled.

    make_fixture.py PROGRAMS FOLDER     e.g. .build/debug Tests/StoredTests/Fixtures/2

PROGRAMS holds claviger and claviger-core. The program itself writes all of it, driven against a server in this script; the
reference writer of the vault format adds only what no command sets. Run it with the Python of .build/venv, and add a member
here whenever the program learns to store one. All values are made up.

FOLDER becomes
    data, state, config, key   what $XDG_DATA_HOME, $XDG_STATE_HOME, $XDG_CONFIG_HOME and $CLAVIGER_KEY_FILE name
    units                      the systemd user units as make install writes them
    expected.json              what the program's own commands said of it
    contents.json              what the reference reader finds in the vault
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import trustme

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "Tests" / "VaultTests" / "vault_reference.py"
# A fixed port: it stands in the records.
PORT = 47113
SERVER = f"http://127.0.0.1:{PORT}"
OWNER = "0123456789abcdef0123456789abcdef"
TEN_YEARS = 315_360_000

programs, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
assert not target.exists(), f"{target} is there already"
# The programs' path stands in the log; this one says nothing about the machine.
home = Path("/tmp/claviger-fixture")
shutil.rmtree(home, ignore_errors=True)
for name in ("data", "state", "config/claviger/providers", "runtime", "bin", "secrets"):
    (home / name).mkdir(mode=0o700, parents=True)
for name in ("claviger", "claviger-core"):
    shutil.copy2(programs / name, home / "bin" / name)
environment = {
    "PATH": "/usr/bin:/bin",
    "HOME": str(home),
    "XDG_DATA_HOME": str(home / "data"),
    "XDG_STATE_HOME": str(home / "state"),
    "XDG_CONFIG_HOME": str(home / "config"),
    "XDG_RUNTIME_DIR": str(home / "runtime"),
    "CLAVIGER_KEY_FILE": str(home / "key"),
}
vault, log = home / "data/claviger/vault", home / "data/claviger/vault.log"


# --- The server


class Handler(BaseHTTPRequestHandler):
    mode, lifetime, count, arrived = "grant", TEN_YEARS, 0, threading.Event()

    def log_message(self, *_):
        pass

    def answer(self, status, members):
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(
            200,
            {
                "issuer": SERVER,
                "token_endpoint": SERVER + "/token",
                "authorization_endpoint": SERVER + "/authorize",
                "revocation_endpoint": SERVER + "/revoke",
                "introspection_endpoint": SERVER + "/introspect",
                "device_authorization_endpoint": SERVER + "/device",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            },
        )

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        Handler.count += 1
        Handler.arrived.set()
        if self.path == "/introspect":
            return self.answer(200, {"active": True})
        if self.path == "/revoke":
            return self.answer(200, {})
        match Handler.mode:
            case "drop":
                self.close_connection = True
            case "hang":
                time.sleep(3600)
            case "grant":
                members = {
                    "access_token": f"made-up-access-{Handler.count}",
                    "token_type": "Bearer",
                    "account_id": "made-up-account",
                    "nested": {"uid": 7, "list": [1, "two", None]},
                    "scope": " ".join(form.get("scope", ["granted"])),
                }
                if Handler.lifetime:
                    members["expires_in"] = Handler.lifetime
                if form.get("grant_type") == ["refresh_token"] or b"refresh_token" in str(form).encode():
                    members["refresh_token"] = f"made-up-refresh-{Handler.count}"
                self.answer(200, members)
            case code:
                self.answer(401 if code == "invalid_client" else 400, {"error": code})


http = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
http.daemon_threads = True
threading.Thread(target=http.serve_forever, daemon=True).start()


class Mode:
    """What the server does meanwhile."""

    def __init__(self, mode="grant", lifetime=TEN_YEARS):
        self.next = (mode, lifetime)

    def __enter__(self):
        self.before = (Handler.mode, Handler.lifetime)
        Handler.mode, Handler.lifetime = self.next

    def __exit__(self, *_):
        Handler.mode, Handler.lifetime = self.before


# --- The program


def run(*arguments, given=None, status=0):
    done = subprocess.run(
        [home / "bin/claviger", *arguments], env=environment, input=given, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stderr}"
    return done.stdout


def reads(*arguments):
    return json.loads(run(*arguments, "--json"))


def secret(name, text):
    path = home / "secrets" / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def reference(*arguments):
    done = subprocess.run(
        [sys.executable, REFERENCE, *arguments], text=True, capture_output=True, env={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def put(name, member, value):
    """Writes what no command sets."""
    reference("set", str(vault), str(home / "key"), name, member, json.dumps(value))


def start_a_new_log_file():
    """What the program does at 16 MiB: the next line begins a file that names the last MAC of this one."""
    for number in (2, 1):
        if (old := Path(f"{log}.{number}")).exists():
            old.rename(f"{log}.{number + 1}")
    log.rename(f"{log}.1")


def keep_until_killed(*arguments):
    """Kills the program when its request is with the server."""
    Handler.arrived.clear()
    with Mode("hang"):
        child = subprocess.Popen([home / "bin/claviger-core", *arguments], env=environment, stderr=subprocess.DEVNULL)
        assert Handler.arrived.wait(20)
        child.send_signal(signal.SIGKILL)
        child.wait()


# --- What is made

authority = trustme.CA()
certificate = authority.issue_cert("client.example.test")
ca_file = secret("ca.pem", authority.cert_pem.bytes().decode())
tls_file = secret("tls.pem", certificate.private_key_and_cert_chain_pem.bytes().decode())
key_file = str(home / "secrets/key.pem")
subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key_file], check=True)

PARAMETER = {"name": "made_up", "value": "a value with spaces/and=signs"}
EVERYTHING = {
    "name": "everything",
    "title": "A service with everything",
    "documentation": "https://docs.example.com/oauth",
    "keys_page": "https://console.example.com/keys",
    "permissions_page": "https://console.example.com/permissions",
    "variables": [
        {"name": "tenant", "title": "the tenant"},
        {"name": "host", "title": "where it runs", "default": f"127.0.0.1:{PORT}"},
    ],
    "token_url": "http://{host}/token?tenant={tenant}",
    "revocation_url": "http://{host}/revoke",
    "introspection_url": "http://{host}/introspect",
    "api_url": "http://{host}/api/{tenant}",
    "authorization_url": "http://{host}/authorize",
    "authorization_parameters": [{"name": "access_type", "value": "offline"}],
    "device_authorization_url": "http://{host}/device",
    "grants": ["authorization_code", "refresh_token", "device_code", "client_credentials", "password", "jwt_bearer"],
    "client_authentication": "post",
    "scopes": ["read", "write"],
    "parameters": [PARAMETER],
    "headers": [{"name": "X-Made-Up", "value": "yes"}],
    "placement": "body",
    "token_lifetime": 3600,
    "old_pair_dies_at_once": True,
    "notes": ["Made up.", "With {braces} in it."],
    "redirect_uri": "http://127.0.0.1:8765/callback",
    "omits_grant_type": True,
    "scope_separator": ",",
    "no_refresh_token": True,
    "refresh_token_rotates": True,
    "refresh_token_grace": "until_successor_is_used",
    "older_tokens_live": True,
}
GRACE = {
    "name": "grace",
    "title": "A service with a grace period",
    "token_url": SERVER + "/token",
    "grants": ["refresh_token"],
    "refresh_token_rotates": False,
    "refresh_token_grace": 30,
    "older_tokens_live": False,
}
for provider in (EVERYTHING, GRACE):
    (home / f"config/claviger/providers/{provider['name']}.json").write_text(json.dumps(provider, indent=2) + "\n")

run("init")
run("key", "add", "--new-passphrase-file", "-", "--label", "administrators", given="made-up passphrase\n")
run("key", "add", "--new-key-file", str(home / "secrets/second-key"), "--label", "to be removed")
second = next(slot["id"] for slot in reads("key", "list") if slot["label"] == "to be removed")
run("key", "remove", second)
run("passwd", "--new-passphrase-file", "-", given="made-up new passphrase\n")

plain = ["--token-url", SERVER + "/token", "--client-id"]
for way in ("basic", "basic-raw", "post", "none", "private-key-jwt", "client-secret-jwt", "tls"):
    file = {"private-key-jwt": key_file, "tls": tls_file}.get(way) or secret(way, f"made-up-secret-{way}")
    with_secret = [] if way == "none" else ["--secret-file", file]
    run("add", "cc-" + way, *plain, f"made-up-client-{way}", "--client-auth", way, *with_secret)
run("token", "cc-post", "--scope", "read", "--scope", "write", "--reason", "a fixture, “quoted” and / slashed")
run("token", "cc-post", "--audience", "https://api.example.com", "--audience", "other")
with Mode(lifetime=None):
    run("token", "cc-post", "--scope", "for-ever")
with Mode(lifetime=1):
    run("token", "cc-post", "--scope", "brief")
run("check", "cc-post")

some = secret("some", "made-up-secret-of-logins")
for grant in ("authorization-code", "refresh-token", "device-code"):
    token = secret("refresh-" + grant, f"made-up-refresh-of-{grant}")
    run(
        "add", grant, "--grant", grant, *plain, f"made-up-client-{grant}", "--authorization-url", SERVER + "/authorize",
        "--device-url", SERVER + "/device", "--secret-file", some, "--refresh-token-file", token,
    )
run("login", "authorization-code", "--refresh-token-file", "-", given="made-up-refresh-of-a-login")
run(
    "add", "password", "--grant", "password", *plain, "made-up-client-password", "--secret-file", some, "--username",
    "made-up-user", "--password-file", "-", given="made-up-password",
)
run(
    "add", "jwt-bearer", "--grant", "jwt-bearer", "--client-auth", "none", *plain, "made-up-client-jwt", "--secret-file",
    key_file, "--kid", "made-up-kid", "--scope", "read",
)
actor = secret("actor", "made-up-token-of-a-platform")
run(
    "add", "token-exchange", "--grant", "token-exchange", *plain, "made-up-client-exchange", "--secret-file", some,
    "--subject", "cc-post", "--actor-file", actor, "--actor-type", "id_token",
)
run(
    "add", "exchange-of-a-file", "--grant", "token-exchange", *plain, "made-up-client-file", "--secret-file", some,
    "--subject-file", actor, "--actor", "cc-basic",
)
run("add", "discovered", "--issuer", SERVER, "--client-id", "made-up-client-discovered", "--secret-file", some)
run("add", "grace", "--provider", "grace", "--client-id", "made-up-client-grace", "--secret-file", some,
    "--refresh-token-file", secret("grace", "made-up-refresh-of-grace"))
run("add", "clé 鍵", "--provider", "torq", "--token-url", SERVER + "/token", "--client-id", "made-up", "--secret-file", some)
run("add", "old", *plain, "made-up-client-old", "--secret-file", some)
run("rename", "old", "renamed")
run("add", "going", *plain, "made-up-client-going", "--secret-file", some)
run("remove", "going", "--yes")

start_a_new_log_file()

# A pair before the last rotation, with a user of its own.
run("rotate", "password", "--username", "made-up-user-2", "--password-file", "-", "--secret-file", some, given="made-up-password-2")
# A pair that could not be proven.
with Mode("drop"):
    run("rotate", "password", "--username", "made-up-user-3", "--password-file", "-", "--secret-file", some, given="made-up-password-3", status=69)
with Mode("invalid_client"):
    run("token", "cc-basic-raw", "--fresh", status=77)
with Mode("invalid_grant"):
    run("token", "refresh-token", "--fresh", status=77)
keep_until_killed("token", "device-code", "--fresh")
run("edit", "discovered", "--api-url", "http://127.0.0.1/api")
run("revoke", "renamed", status=0)

run(
    "add", "everything", "--provider", "everything", "--set", "tenant=made-up", "--client-id",
    "made-up-client", "--secret-file", some, "--refresh-token-file", secret("everything", "made-up-refresh-of-everything"),
    "--audience", "https://audience.example.com", "--resource", "https://resource.example.com", "--params-in", "json",
    "--ca-file", ca_file, "--kid", "made-up-kid", "--subject", "cc-basic", "--actor-file", actor,
    "--header-file", "X-Api-Key: " + secret("header", "made-up-header"), "--param-file", "api_key=" + secret("param", "made-up-param"),
)
run("rotate", "everything", "--client-id", "made-up-client-2", "--secret-file", "-", given="made-up-secret-2")
for more in ([], ["--scope", "read"], ["--scope", "read", "--scope", "write", "--audience", "https://other.example.com"]):
    run("token", "everything", *more)
with Mode("drop"):
    run("rotate", "everything", "--client-id", "made-up-client-3", "--secret-file", "-", given="made-up-secret-3", status=69)
with Mode("invalid_client"):
    run("token", "everything", "--fresh", status=77)
with Mode("invalid_grant"):
    run("token", "everything", "--fresh", status=77)
# Only a lost answer leaves this beside the end of a login.
put("everything", "login/spending", json.loads(reference("read", str(vault), str(home / "key")))["records"]["everything"]["description"]["login"]["ended"] - 1000)
put("everything", "settings/issuer", SERVER)
put("everything", "settings/resend", "never")
put("grace", "settings/resend", "once")

run("allow", "cc-post", "--user", "root")
run("allow", "cc-post", "--user", "4711", "--scope", "read", "--scope", "write", "--max-ttl", "1h")
run("allow", "cc-post", "--group", "4712", "--max-ttl", "30m")
run("allow", "clé 鍵", "--group", "root", "--scope", "read")
run("allow", "renamed", "--user", "4713")
run("deny", "renamed", "--user", "4713")

start_a_new_log_file()

# The agent's lines: unlock, tokens with the caller's program, a renewal of its own, lock.
run("add", "brief", *plain, "made-up-client-brief", "--secret-file", some)
with Mode(lifetime=5):
    run("token", "brief", "--fresh")
    run("agent", "--keep-fresh")
    run("token", "brief", "--reason", "by the agent")
    for _ in range(200):
        if '"event":"refresh"' in log.read_text():
            break
        time.sleep(0.1)
run("token", "brief", "--rejected")
run("lock")
environment["CLAVIGER_PASSPHRASE_FILE"] = secret("passphrase", "made-up new passphrase\n")
run("unlock")
run("agent", "stop")

# Logins belong to a machine, which a fixture must not name.
for name, record in json.loads(reference("read", str(vault), str(home / "key")))["records"].items():
    if "login" in record["description"]:
        put(name, "login/owner", OWNER)
# The newest generation is remembered, and the head of the log's chain sealed with it.
run("edit", "cc-none", "--api-url", SERVER + "/api")
run("log", "--verify")

events = {json.loads(line)["event"] for file in (log, f"{log}.1", f"{log}.2") for line in Path(file).read_text().splitlines()}
EVENTS = "token refresh add check login rotate revoke edit rename remove allow deny unlock lock key_add key_remove key_replace rotated"
assert events == set(EVENTS.split()), f"not in the log: {set(EVENTS.split()) - events}; not expected: {events - set(EVENTS.split())}"

# --- What is kept

target.mkdir(parents=True)
for name in ("data", "state", "config"):
    shutil.copytree(home / name, target / name)
for name in ("vault.lock",):
    (target / "data/claviger" / name).unlink(missing_ok=True)
shutil.copy(home / "key", target / "key")
(target / "units").mkdir()
for unit in ("service", "socket"):
    text = (ROOT / f"systemd/claviger-agent.user.{unit}").read_text()
    (target / f"units/claviger-agent.{unit}").write_text(text.replace("@LIBEXEC@", "/usr/local/libexec/claviger"))
expected = {
    "list": (credentials := reads("list")),
    "show": {one["name"]: reads("show", one["name"]) for one in credentials},
    "policy": reads("policy", "list"),
    "keys": reads("key", "list"),
    "providers": {name: reads("providers", name) for name in ("everything", "grace")},
    "log": [json.loads(line) for line in run("log", "--json").splitlines()],
}
for name, value in (("expected", expected), ("contents", json.loads(reference("read", str(vault), str(home / "key"))))):
    (target / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
shutil.rmtree(home)
print(f"{target}: {len(credentials)} credentials, {len(expected['log'])} lines of log")
