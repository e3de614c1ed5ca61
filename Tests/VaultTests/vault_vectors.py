"""Writes the test vectors: vaults that a reader must open, and vaults with exactly one failure each.

    vault_vectors.py small FOLDER     writes those that are kept in the repository
    vault_vectors.py large FOLDER     writes those that are too large for it, at and behind the largest limits
    vault_vectors.py broken VAULT KEYFILE SEED COUNT FOLDER
                                      writes copies of a vault with one change each: bytes flipped and cut off, in the file and
                                      in the plaintext under its seals

A vector is text: fields, an empty line, and the vault in base64. `refused` says what a reader must refuse, in which words;
without it, everything is readable. `holds` is what a reader must find, in the form that `vault_reference.py judge` prints. All
is derived from fixed bytes, so that the files come out the same each time.
"""

import base64
import hashlib
import json
import random
import struct
import sys
from pathlib import Path

from nacl.pwhash import argon2id

# The folder is the package manager's.
sys.dont_write_bytecode = True
import vault_reference as v
from vault_contents import canonical

VAULT_ID = bytes(range(16))
VAULT_KEY = bytes(range(32, 64))
KEY_FILE = bytes(range(64, 96))
PASSPHRASE = b"made-up passphrase"
MAC_KEY = v.subkey(VAULT_KEY, 1)
SINCE, COMMITTED = 1_600_000_000, 1_700_000_000


def fixed(label, count):
    return hashlib.shake_256(label.encode()).digest(count)


# --- What vaults are made of


def key_file_slot(label="key file", key=KEY_FILE, slot_id=None):
    slot_id = slot_id or fixed("slot " + label, 16)
    key = v.blake2b(b"claviger key file" + VAULT_ID, key=key)
    return v.make_slot(2, slot_id, b"", key, VAULT_ID, VAULT_KEY, fixed("nonce slot " + label, 24))


def passphrase_slot(label="passphrase", passes=1, memory=8192, opens=True):
    salt = fixed("salt " + label, 16)
    key = argon2id.kdf(32, PASSPHRASE, salt, opslimit=passes, memlimit=memory) if opens else fixed("key " + label, 32)
    parameters = struct.pack("<IQ", passes, memory) + salt
    return v.make_slot(1, fixed("slot " + label, 16), parameters, key, VAULT_ID, VAULT_KEY, fixed("nonce " + label, 24))


def recipient_slot(label="recipient"):
    return struct.pack("<BBH", 3, 0, 112) + fixed("slot " + label, 16) + fixed(label, 112)


def slot_id(slot):
    return slot[4:20]


def notes_of(slots, label=b"label"):
    return [v.make_note(slot_id(slot), SINCE, label) for slot in slots]


class Record:
    """A record to be put into a vault; what is not given is as it should be."""

    def __init__(self, name, description=None, secrets=None, kind=1, content=None, padded=None, label=None, sealed_as=None, shown=None, **entry):
        self.name, self.kind = name, kind
        self.shown = shown or (name if isinstance(name, bytes) else v.nfc(name))
        self.stored_name = name if isinstance(name, bytes) else name.encode()
        self.description = credential() if description is None else description
        if not isinstance(self.description, bytes):
            self.description = canonical(self.description)
        self.secrets = {} if secrets is None else secrets
        ordered = self.secrets.items() if isinstance(self.secrets, dict) else self.secrets
        content = v.record_content(self.description, ordered) if content is None else content
        label = label or f"{kind} {name}"
        self.id = fixed("record " + label, 16)
        padded = v.pad(content, 256) if padded is None else padded
        self.sealed = v.seal_record(padded, VAULT_ID, sealed_as or self.id, VAULT_KEY, fixed("nonce " + label, 24))
        self.entry = entry

    def serialised(self):
        return v.make_entry(self.id, self.kind, self.stored_name, self.sealed, VAULT_KEY, **self.entry)

    def holds(self):
        secrets = {name: value.hex() for name, value in self.secrets.items()}
        return {"kind": self.kind, "name": self.shown, "description": self.description.hex(), "secrets": secrets}


def build(records=(), slots=None, notes=None, header=None, generation=7, root=None, padded=None, tail=b"", order=None, body=None, **root_counts):
    """A vault; what is not given is as it should be."""
    slots = [key_file_slot()] if slots is None else slots
    header = v.make_header(slots, VAULT_ID, MAC_KEY) if header is None else header
    records = sorted(records, key=order or (lambda record: record.id))
    length = root_counts.pop("root_length", None)
    notes = notes_of(slots) if notes is None else notes
    root = v.make_root(generation, COMMITTED, notes, [r.serialised() for r in records], **root_counts) if root is None else root
    body = [record.sealed for record in records] if body is None else body
    padded = v.pad(root, 1024) if padded is None else padded
    return v.make_file(header, padded, body, VAULT_KEY, fixed("nonce root", 24), length) + tail


KINDS = {1: "passphrase", 2: "key file", 3: "recipient"}


def holds(records, slots=None, noted=True, generation=7, label="label", created=SINCE):
    slots = [key_file_slot()] if slots is None else slots
    shown = sorted((r for r in records if r.kind in (1, 2, 3)), key=lambda r: (r.kind, r.shown.encode()))
    return {
        "generation": generation,
        "slots": [
            {"id": slot_id(slot).hex(), "kind": KINDS[slot[0]]} | ({"created": created, "label": label} if noted else {})
            for slot in slots
        ],
        "records": [r.holds() for r in shown],
    }


# --- Descriptions

SENT = 1_700_000_000_000
ADDRESS = "https://made-up.example/token"
SETTINGS = {
    "audiences": [], "client_authentication": "basic", "grant": "client_credentials", "headers": [], "parameters": [],
    "placement": "body", "resources": [], "scopes": [], "token_url": ADDRESS,
}  # fmt: skip
PAIR = {"client_id": "made-up", "since": SENT}
TOKEN = {"requested_scopes": [], "sent": SENT, "type": "Bearer"}
LOGIN = {"owner": "00112233445566778899aabbccddeeff", "renewed": SENT, "rotates": True, "since": SENT}
ALL_SETTINGS = SETTINGS | {
    "actor": {"source": {"file": {"path": "/made/up"}}, "type": "urn:ietf:params:oauth:token-type:jwt"},
    "answer": {
        "access_token": "/data/token", "client_refused": ["bad app"], "error": "/code", "expires_at": "/data/until",
        "expires_in": "/data/life", "id_token": "/id", "login_ended": ["BAD_REFRESH_TOKEN", "403 unauthorized_client"],
        "refresh_token": "/data/a~1b", "scope": "", "success": "/code=0,200", "token_type": "/kind", "try_again": ["busy"]},
    "api_url": "http://localhost:8080/api",
    "assertion": {
        "algorithm": "PS256", "audience": "https://made-up.example", "claims": {"a": {"b": [True, 1, "x"]}}, "issuer": "i",
        "lifetime": 60, "subject": "", "type": "client-authentication+jwt"},
    "audiences": ["a"], "authorization_parameters": [{"name": "q", "value": "1"}],
    "authorization_url": ADDRESS, "certificate_authority": "made\nup", "device_authorization_url": ADDRESS,
    "dpop": True,
    "headers": [{"name": "X-H", "value": "1"}], "introspection_url": ADDRESS, "issuer": "https://made-up.example",
    "key_id": "k", "login_idle": 60, "login_lifetime": 120, "method": "GET", "no_refresh_token": True, "nonce": False, "pkce": False, "older_tokens_live": False, "omits_grant_type": True,
    "parameter_names": {"client_id": "app_id", "grant_type": ""},
    "parameters": [{"name": "p", "value": "\u0001\t\"\\/\u2028"}], "presentation": "X-Auth-Token: {token}",
    "pushed_authorization_url": ADDRESS,
    "refresh": {
        "client_authentication": "post", "method": "POST", "parameter_names": {"refresh_token": "rt"},
        "parameters": [{"name": "p", "value": "2"}], "placement": "json", "scopes": True, "url": ADDRESS},
    "redirect_uri": "http://127.0.0.1/x", "refresh_token_grace": 60,
    "refresh_token_rotates": True, "resend": "never", "resources": ["r"], "revocation_url": ADDRESS, "scope_separator": ",",
    "scopes": ["read"], "secret_headers": ["X-Api-Key", "X-T"], "secret_parameters": ["api_key"],
    "subject": {"source": {"credential": {"name": "s"}}, "type": "t"}, "token_lifetime": 60,
}  # fmt: skip


def credential(settings=None, **members):
    return {"key_pair": PAIR, "settings": SETTINGS | (settings or {}), "tokens": []} | members


def everything():
    full = TOKEN | {"expires": SENT, "rejected": SENT, "requested_audiences": ["a"], "requested_scopes": ["r"], "scopes": ["r"]}
    pair = PAIR | {"expires": SENT, "username": "u"}
    description = credential(
        ALL_SETTINGS, blocked={"reason": "made up", "since": SENT}, key_pair=pair, previous_key_pair=pair, staged_key_pair=pair, provider="p", tokens=[full, TOKEN],
        replaced=[full], forced_renewals=[SENT], registration="https://made-up.example/x", refused_since=SENT, refusal={"asked": SENT, "times": 2},
        login=LOGIN | {"boot": "b", "ended": SENT, "expires": SENT, "refresh_by": SENT, "resent": True, "sent_last": SENT + 1, "spending": SENT})  # fmt: skip
    names = [
        "client_secret", "client_secret.previous", "client_secret.staged", "dpop_key", "header.0", "header.1", "parameter.0", "password",
        "password.previous", "password.staged", "refresh_token", "registration_token", "replaced.0", "replaced.0.extras", "token.0", "token.0.extras", "token.1",
    ]  # fmt: skip
    return Record("everything", description, {name: b"made-up " + name.encode() for name in names})


def rule(subject=None, **members):
    return {"credential": "alpha", "subject": subject or {"user": {"id": 1000, "name": "somebody"}}} | members


def policy(rules=None, name="-", label=None, **arguments):
    rules = [rule(), rule({"group": {"id": 4294967295, "name": "g"}}, longestLife=3600, scopes=["read"])] if rules is None else rules
    return Record(name, {"rules": rules}, kind=2, label=label, **arguments)


def head(name="-", label=None, **members):
    return Record(name, {"mac": "ab" * 32, "sequence": 42} | members, kind=3, label=label)


def alpha(**arguments):
    secrets = {"client_secret": b"made-up-secret-a", "token.0": b"made-up-token"}
    return Record("alpha", credential(tokens=[TOKEN]), secrets, **arguments)


def beta(**arguments):
    return Record("beta", credential(), {"client_secret": b"made-up-secret-b"}, **arguments)


# --- The vectors: name, what is refused, what can be read (None for nothing), file


def opens(name, records, **arguments):
    expected = {key: arguments.pop(key) for key in ("noted", "label", "created") if key in arguments}
    for key in ("slots", "generation"):
        if key in arguments:
            expected[key] = arguments[key]
    return name, [], holds(records, **expected), build(records, **arguments)


def good():
    both = [passphrase_slot(), key_file_slot()]
    yield opens("good", [alpha(), beta(), policy(), head()], slots=both)
    yield opens("empty", [])
    yield opens("name-in-utf8", [Record("clé 鍵")])
    yield opens("name-not-nfc", [Record("cle\u0301")])
    # Earlier versions took these for two names.
    yield opens("name-twice-in-two-forms", [Record("cl\u00e9"), Record("cle\u0301", shown="cle\\u{301}")])
    yield opens("name-twice-for-unicode", [Record("\u212a", shown="\\u{212a}"), Record("K")])
    yield opens("name-of-512-bytes", [Record("é" * 256)])
    yield opens("names-that-differ-in-case", [Record("a"), Record("A")])
    yield opens("credential-named-hyphen", [Record("-"), policy(), head()])
    yield opens("credential-everything", [everything()])
    for number, (login, refusal) in enumerate(
        [({"rotates": False}, {"asked": SENT, "since": SENT, "status": 400, "times": 3}), ({"keeps": True, "rotates": False}, None)]
    ):
        more = {} if refusal is None else {"refusal": refusal}
        description = credential({"grant": "authorization_code"}, login=LOGIN | login, **more)
        yield opens(f"credential-login-{number + 1}", [Record("x", description, {"refresh_token": b"made-up"})])
    for member, words in {
        "grant": [
            "authorization_code", "client_credentials", "device_code", "jwt_bearer", "password", "refresh_token", "token_exchange"],
        "client_authentication": [
            "basic", "basic_raw", "bearer_jwt", "client_secret_jwt", "none", "post", "private_key_jwt", "tls"],
        "method": ["GET", "POST"],
        "placement": ["body", "json", "query"],
        "presentation": ["Authorization: Bearer {token}", "?key={token}", "X-Token:{token};q=1"],
        "resend": ["never", "once"],
        "refresh_token_grace": [0, 31_536_000, "until_successor_is_used"],
        "token_url": ["https://made-up.example", "http://[::1]:1/", "http://127.1.2.3/", "http://a.localhost/?q", "https://[2001:db8::1]/",
            "HTTPS://MADE-UP.example:65535/%zz\\{}@", "https://made-up.example:"],
    }.items():  # fmt: skip
        records = [Record(f"{index}", credential({member: word})) for index, word in enumerate(words)]
        yield opens("credentials-by-" + member.replace("_", "-"), records)
    yield opens("credential-blocked-without-a-reason", [Record("x", credential(blocked={"since": SENT}))])
    yield opens("credential-of-an-older-version", [Record("x", credential(refused_since=SENT))])
    yield opens("credential-with-extreme-text", [Record("x", credential(provider="\x00\x1f\x7f\u2028\ufeff\U0010ffff\\\"/"))])
    names = {"secret_headers": ["X-K\u0301", "X-\u1e30", "x-k\u0301"], "secret_parameters": []}
    secrets = {f"header.{index}": b"made-up" for index in range(3)}
    yield opens("secret-headers-that-are-bytes-apart", [Record("x", credential(names), secrets)])
    yield opens("secret-that-is-empty", [Record("x", credential(), {"client_secret": b""})])
    yield opens("secret-that-is-no-text", [Record("x", credential(), {"client_secret": b"\xff\x00"})])
    yield opens("policy-empty", [policy([])])
    yield opens("head-lost", [head(lost=True)])
    yield opens("head-of-another-order", [Record("-", b'{"sequence":77,"mac":"' + b"cd" * 32 + b'"}', kind=3)])
    yield opens("head-with-an-unknown-member", [head(made_up=1)])
    yield opens("unknown-kinds", [alpha(), Record("alpha", b"", kind=4, padded=bytes(256)), Record("alpha", b"", kind=255), Record("-", b"", kind=0)])
    yield opens("slot-of-recipient", [], slots=[key_file_slot(), recipient_slot()])
    yield opens("slots-64", [], slots=[key_file_slot(f"{number}", fixed(f"{number}", 32)) for number in range(63)] + [key_file_slot()])
    yield opens("slot-at-least-cost", [], slots=[passphrase_slot(opens=False), key_file_slot()])
    yield opens("slot-at-most-cost", [], slots=[passphrase_slot(passes=16, memory=2 << 30, opens=False), key_file_slot()])
    most = [passphrase_slot(f"p{number}", 12, 2 << 30, opens=False) for number in range(2)]
    yield opens("slots-at-most-cost", [], slots=most + [key_file_slot()])
    yield opens("slot-without-a-note", [], notes=[], noted=False)
    yield opens("label-of-512-bytes", [], notes=notes_of([key_file_slot()], "é".encode() * 256), label="é" * 256)
    yield opens("label-empty", [], notes=notes_of([key_file_slot()], b""), label="")
    yield opens("note-of-the-last-second", [], notes=[v.make_note(slot_id(key_file_slot()), 2**64 - 1, b"label")], created=2**64 - 1)
    for generation in 0, 1, 2**63, 2**64 - 1:
        yield opens(f"generation-{generation}", [], generation=generation)
    # The padding takes a block of its own: the content fills the others.
    filled = credential(provider="p" * ((256 - len(canonical(credential(provider=""))) - 8) % 256))
    yield opens("record-of-whole-blocks", [Record("x", filled)])


def header_refusals():
    def refuses(name, reason, **header):
        slots = header.pop("slots", [key_file_slot()])
        made = v.make_header(slots, VAULT_ID, header.pop("mac_key", MAC_KEY), **header)
        return name, [reason], None, build(slots=slots, notes=[], header=made)

    whole = build([alpha()])
    slot = key_file_slot()
    yield "magic", ["header: is not that of a claviger vault"], None, b"clavigee" + whole[8:]
    for version in 0, 2, 0xFFFFFFFF:
        yield refuses(f"version-{version}", f"version: {version}", version=version)
    yield refuses("header-length-over", "header: has a length over the limit of 65536", length=65537)
    yield refuses("header-length-huge", "header: has a length over the limit of 65536", length=0xFFFFFFFF)
    yield refuses("header-length-99", "header: ends too early", length=99)
    yield "header-cut", ["header: ends too early"], None, whole[:150]
    yield "header-cut-in-its-fixed-part", ["header: ends too early"], None, whole[:35]
    yield "nothing", ["header: ends too early"], None, b""
    yield refuses("header-checksum", "header: does not match its checksum", checksum=bytes(32))
    # What follows a header of this length would be the end of its MAC, and not the root's length.
    shorter = whole[:12] + struct.pack("<I", struct.unpack("<I", whole[12:16])[0] - 8) + whole[16:]
    yield "header-length-8-less", ["header: does not match its checksum"], None, shorter
    yield refuses("header-mac", "header: was changed by somebody without the key", mac_key=bytes(32))
    yield refuses("slots-none", "header: has no slot", slots=[])
    many = [key_file_slot(f"{number}", fixed(f"{number}", 32)) for number in range(64)] + [slot]
    yield refuses("slots-65", "header: has a number of slots over the limit of 64", slots=many)
    yield refuses("slot-count-short", "header: has trailing bytes", slots=many[:2] + [slot], count=2)
    yield refuses("slot-count-long", "header: ends too early", count=2)
    other = key_file_slot("another", bytes(32), slot_id(slot))
    yield refuses("slots-of-one-id", "header: has two slots of one id", slots=[slot, other])
    for kind in 0, 4, 9:
        unknown = bytes([kind]) + slot[1:]
        yield refuses(f"slot-kind-{kind}", f"header: has a slot of the unknown kind {kind}", slots=[unknown, slot])
    yield refuses("slot-reserved", "header: has a reserved byte that is not zero", slots=[b"\x02\x01" + slot[2:]])
    longer = slot[:2] + struct.pack("<H", 73) + slot[4:] + b"\0"
    yield refuses("slot-with-trailing-bytes", "header: has trailing bytes", slots=[longer])
    shorter = slot[:2] + struct.pack("<H", 71) + slot[4:-1]
    yield refuses("slot-cut", "header: ends too early", slots=[shorter])
    yield refuses("recipient-cut", "header: ends too early", slots=[struct.pack("<BBH", 3, 0, 111) + bytes(16 + 111), slot])
    for word, passes, memory in ("no-passes", 0, 8192), ("too-little-memory", 1, 8191):
        low = passphrase_slot(passes=passes, memory=memory, opens=False)
        yield refuses("slot-with-" + word, "header: has a passphrase slot that costs too little", slots=[low, slot])
    for word, passes, memory in ("too-many-passes", 17, 8192), ("too-much-memory", 1, (2 << 30) + 1):
        high = passphrase_slot(passes=passes, memory=memory, opens=False)
        yield refuses("slot-with-" + word, "header: has a passphrase slot that costs too much", slots=[high, slot])
    most = [passphrase_slot(f"p{number}", 12, 2 << 30, opens=False) for number in range(2)]
    words = "header: asks for more work to open it than any vault needs"
    yield refuses("slots-with-too-much-cost", words, slots=most + [passphrase_slot(opens=False), slot])
    yield "slot-of-another-key", ["key"], None, build(slots=[key_file_slot(key=bytes(32))])
    yield "slot-of-another-vault", ["key"], None, build(
        slots=[v.make_slot(2, slot_id(slot), b"", v.blake2b(b"claviger key file" + bytes(16), key=KEY_FILE), VAULT_ID, VAULT_KEY, bytes(24))])  # fmt: skip
    yield "slots-of-no-key-file", ["key"], None, build(slots=[recipient_slot()])


def root_refusals():
    def refuses(name, reason, *records, **arguments):
        return name, ["root: " + reason], None, build(records, **arguments)

    whole = build([alpha()])
    header = v.make_header([key_file_slot()], VAULT_ID, MAC_KEY)
    slot = key_file_slot()
    good_root = v.make_root(7, COMMITTED, notes_of([slot]), [])
    yield refuses("root-length-over", f"has a length over the limit of {1 << 30}", root_length=(1 << 30) + 1)
    yield refuses("root-length-huge", f"has a length over the limit of {1 << 30}", root_length=2**64 - 1)
    yield refuses("root-cut", "ends too early", root_length=1 << 30)
    yield "root-length-cut", ["root: ends too early"], None, whole[: len(header) + 7]
    yield "root-of-no-bytes", ["root: does not open"], None, header + bytes(8)
    yield "root-of-39-bytes", ["root: does not open"], None, header + struct.pack("<Q", 39) + bytes(39)
    yield "root-flipped", ["root: does not open"], None, whole[: len(header) + 40] + bytes([whole[len(header) + 40] ^ 1]) + whole[len(header) + 41 :]
    other = v.make_header([slot, recipient_slot()], VAULT_ID, MAC_KEY)
    yield "root-under-another-header", ["root: does not open"], None, other + whole[len(header) :]
    yield refuses("root-unpadded", "is not padded as it should be", padded=good_root + bytes(-len(good_root) % 1024))
    yield refuses("root-padded-twice", "is not padded as it should be", padded=v.pad(good_root, 1024) + bytes(1024))
    yield refuses("root-padded-to-512", "is not padded as it should be", padded=v.pad(good_root, 512))
    yield refuses("root-padded-with-something", "is not padded as it should be", padded=v.pad(good_root, 1024)[:-1] + b"\x01")
    yield refuses("root-of-no-plaintext", "is not padded as it should be", padded=b"")
    yield refuses("root-trailing", "has trailing bytes", root=good_root + b"\x01")
    yield refuses("root-ends-in-its-notes", "ends too early", root=good_root[:30])
    yield refuses("root-ends-in-an-entry", "ends too early", root=v.make_root(7, COMMITTED, notes_of([slot]), [], entry_count=1))
    yield refuses("root-out-of-order", "is not in order", alpha(), beta(), order=lambda record: [-byte for byte in record.id])
    yield refuses("record-id-twice", "is not in order", Record("alpha", label="one"), Record("beta", label="one"))
    yield refuses("notes-65", "has a number of slot notes over the limit of 64", note_count=65)
    yield refuses("records-over", f"has a number of records over the limit of {1 << 20}", entry_count=(1 << 20) + 1)
    yield refuses("label-of-513-bytes", "has a label over the limit of 512", notes=notes_of([slot], b"l" * 513))
    yield refuses("label-that-is-no-text", "has a label that is no text", notes=notes_of([slot], b"\xff"))
    yield refuses("notes-on-one-slot", "has two notes on one slot", notes=notes_of([slot, slot]))
    yield refuses("note-on-no-slot", "has a note on a slot that is not there", notes=notes_of([slot, recipient_slot()]))
    for kind in 1, 4:
        yield refuses(f"name-empty-of-kind-{kind}", "has a name of an impossible length", Record("", kind=kind))
        yield refuses(f"name-of-513-bytes-of-kind-{kind}", "has a name of an impossible length", Record("n" * 513, kind=kind))
        yield refuses(f"name-that-is-no-text-of-kind-{kind}", "has a name that is no text", Record(b"n\xff", kind=kind))
    for word, name in {
        "half": b"\xc3", "overlong": b"\xc0\x80", "a-surrogate": b"\xed\xa0\x80", "behind-the-last": b"\xf4\x90\x80\x80",
    }.items():  # fmt: skip
        yield refuses(f"name-with-{word}-character", "has a name that is no text", Record(name))
    twice = "has two records of one name"
    yield refuses("name-twice", twice, Record("a", label="one"), Record("a", label="two"))
    yield refuses("name-twice-of-an-unknown-kind", twice, Record("a", kind=4, label="one"), Record("a", kind=4, label="two"))
    yield refuses("policy-twice", "has two policies", policy(label="one"), policy([], label="two"))
    yield refuses("policy-of-another-name", "has a policy that is not named -", policy(name="policy"))
    yield refuses("head-twice", "has two heads of the log's chain", head(label="one"), head(label="two"))
    yield refuses("head-of-another-name", "has a head of the log's chain that is not named -", head(name="head"))
    for length in 0, 40, 295, 297:
        yield refuses(f"record-length-{length}", "has a record of an impossible length", alpha(length=length))
    yield refuses("record-length-over", f"has a record over the limit of {1 << 20}", alpha(length=(1 << 20) + 1))


def record_refusals():
    records = [alpha(), beta()]
    yield "records-trailing", ["records: have trailing bytes"], None, build(records, tail=b"\n")
    yield "records-missing", ["records: end too early"], None, build(records, body=[])
    yield "records-cut", ["records: end too early"], None, build(records)[:-1]

    def refuses(name, reason, broken, rest=(), body=None):
        word = {1: "credential x", 2: "policy", 3: "head"}[broken.kind]
        return name, [f"{word}: {reason}"], holds(rest), build([broken, *rest], body=body)

    def broken(name, reason, **arguments):
        return refuses(name, reason, Record("x", **arguments), [beta()])

    yield broken("record-hash", "is not the one in the root", digest=bytes(32))
    yield broken("record-of-another-id", "does not open", sealed_as=bytes(16))
    x, rest = Record("x", credential(provider="x")), beta()
    sealed = sorted([(x.id, x.sealed[:-1] + bytes([x.sealed[-1] ^ 1])), (rest.id, rest.sealed)])
    yield refuses("record-flipped", "is not the one in the root", x, [rest], body=[data for _, data in sealed])
    flipped = Record("x")
    flipped.sealed = flipped.sealed[:-1] + bytes([flipped.sealed[-1] ^ 1])
    yield refuses("record-flipped-and-hashed", "does not open", flipped)
    content = v.record_content(canonical(credential()), [])
    yield broken("record-unpadded", "is not padded as it should be", padded=content + bytes(-len(content) % 256))
    yield broken("record-padded-twice", "is not padded as it should be", padded=v.pad(content, 256) + bytes(256))
    yield broken("record-padded-with-something", "is not padded as it should be", padded=v.pad(content, 256)[:-1] + b"\x02")
    yield broken("record-trailing", "has trailing bytes", content=content + b"\0")
    yield broken("record-cut", "ends too early", content=content[:-1])
    yield broken("record-of-nothing", "ends too early", content=b"")
    over = f"over the limit of {1 << 20}"
    yield broken("description-over", f"has a description {over}", content=struct.pack("<I", (1 << 20) + 1) + content[4:])
    yield broken("description-longer-than-its-record", "ends too early", content=struct.pack("<I", 1 << 20) + content[4:])
    yield broken("secret-over", f"has a secret {over}", content=content[:-4] + b"\1\0\0\0" + b"\1s" + struct.pack("<I", (1 << 20) + 1))
    many = [(b"s%03d" % number, b"") for number in range(257)]
    yield broken("secrets-257", "has a number of secrets over the limit of 256", secrets=many)
    order = "has secrets that are out of order"
    yield broken("secrets-out-of-order", order, secrets=[("token.0", b"made"), ("client_secret", b"up")])
    yield broken("secret-twice", order, secrets=[("client_secret", b"made"), ("client_secret", b"up")])
    yield broken("secret-without-a-name", "has a secret whose name is no text", secrets=[("", b"made-up")])
    yield broken("secret-name-that-is-no-text", "has a secret whose name is no text", secrets=[(b"\xff", b"made-up")])
    alone = Record("-", {"rules": []}, kind=2, digest=bytes(32))
    yield refuses("policy-hash", "is not the one in the root", alone, [beta()])
    yield refuses("head-hash", "is not the one in the root", Record("-", {}, kind=3, digest=bytes(32)), [beta()])


def content_refusals():
    def holds_it(name, verdict, record):
        word = {1: "credential x", 2: "policy", 3: "head"}[record.kind]
        return name, [f"{word}: {verdict}"], holds([record, beta()]), build([record, beta()])

    def newer(name, description, secrets=None):
        return holds_it(name, "newer", Record("x", description, secrets))

    for name, description in {
        "empty": b"", "no-json": b"made up", "array": b"[]", "bad-utf8": b'{"provider":"\xff"}', "cut": canonical(credential())[:-1],
        "utf16": '{"made":"up"}'.encode("utf-16-le"), "trailing": canonical(credential()) + b"{}", "half-surrogate": b'{"a":"\\ud800"}',
    }.items():  # fmt: skip
        yield holds_it("credential-" + name, "damaged", Record("x", description))
    yield newer("credential-made-up", b'{"made":"up"}')
    yield newer("credential-with-space", canonical(credential()).replace(b",", b", "))
    yield newer("credential-with-a-newline", canonical(credential()) + b"\n")
    yield newer("credential-with-an-escape", canonical(credential(provider="p")).replace(b'"p"', b'"\\u0070"'))
    yield newer("credential-with-escaped-slashes", canonical(credential()).replace(b"/", b"\\/"))
    unordered = json.dumps({"tokens": [], "settings": SETTINGS, "key_pair": PAIR}, separators=(",", ":"))
    yield newer("credential-out-of-order", unordered.encode())
    yield newer("credential-with-a-member-twice", b'{"key_pair":{"client_id":"made-up","since":1},' + canonical(credential())[1:])
    yield newer("credential-with-null", credential(provider=None))
    yield newer("credential-blocked-without-a-time", credential(blocked={"reason": "made up"}))
    yield newer("credential-with-a-fraction", credential(refused_since=1.5))
    yield newer("credential-with-a-huge-number", credential(refused_since=2**63))
    yield newer("credential-with-an-unknown-member", credential(made_up=1))
    yield newer("credential-with-an-unknown-setting", credential({"made_up": 1}))
    yield newer("credential-without-tokens", {"key_pair": PAIR, "settings": SETTINGS})
    yield newer("credential-of-an-unknown-grant", credential({"grant": "implicit"}))
    yield newer("credential-of-an-unknown-authentication", credential({"client_authentication": "magic"}))
    yield newer("credential-of-an-unknown-placement", credential({"placement": "header"}))
    yield newer("credential-of-an-unknown-resend", credential({"resend": "always"}))
    yield newer("credential-with-a-grace-over", credential({"refresh_token_grace": 31_536_001}))
    yield newer("credential-with-a-negative-grace", credential({"refresh_token_grace": -1}))
    yield newer("credential-of-two-sources", credential({"subject": {"source": {"credential": {"name": "a"}, "file": {"path": "b"}}, "type": "t"}}))
    for word, url in {
        "plain-http": "http://made-up.example/", "user": "https://u@made-up.example/", "fragment": "https://made-up.example/#f",
        "scheme": "ftp://made-up.example/", "space": "https://made-up.example/ ", "no-host": "https:///x", "port-0": "https://made-up.example:0/",
        "port-65536": "https://made-up.example:65536/", "huge-port": f"https://made-up.example:{2**64}/", "octal": "http://0127.0.0.1/",
        "backslash": "https://made-up.example\\@x/", "percent-in-its-host": "https://made%2dup.example/",
    }.items():  # fmt: skip
        yield newer("credential-with-an-address-with-" + word, credential({"token_url": url}))
    yield newer("secret-unknown", credential(), {"made_up": b"made-up"})
    yield newer("secret-of-no-pair", credential(), {"client_secret.staged": b"made-up"})
    yield newer("secret-of-no-token", credential(), {"token.0": b"made-up"})
    yield newer("token-without-its-secret", credential(tokens=[TOKEN]))
    yield newer("replaced-without-its-secret", credential(replaced=[TOKEN]))
    yield newer("dpop-without-its-key", credential({"dpop": True}))
    yield newer("dpop-key-without-dpop", credential({"dpop": False}), {"dpop_key": b"made-up"})
    yield newer("registration-without-its-token", credential(registration="https://made-up.example/x"))
    yield newer("registration-token-of-nothing", credential(), {"registration_token": b"made-up"})
    yield newer("login-without-its-secret", credential(login=LOGIN))
    yield newer("secret-header-without-its-secret", credential({"secret_headers": ["a", "b"]}), {"header.0": b"made-up"})
    yield newer("secret-header-twice", credential({"secret_headers": ["a", "a"]}), {"header.0": b"made", "header.1": b"up"})
    yield newer("secret-parameter-without-its-secret", credential({"secret_parameters": ["a"]}), {"header.0": b"made-up"})
    yield newer("secret-parameters-of-no-text", credential({"secret_parameters": [1]}), {"parameter.0": b"made-up"})
    yield newer("secret-of-no-header", credential(), {"header.0": b"made-up"})
    yield newer("refresh-token-without-a-login", credential(), {"refresh_token": b"made-up"})
    yield holds_it("policy-no-json", "damaged", Record("-", b"made up", kind=2))
    yield holds_it("policy-with-an-unknown-member", "newer", Record("-", {"rules": [], "made_up": 1}, kind=2))
    yield holds_it("policy-with-an-unknown-rule-member", "newer", policy([rule(made_up=1)]))
    yield holds_it("policy-with-an-unknown-subject", "newer", policy([rule({"robot": {"id": 1, "name": "r"}})]))
    yield holds_it("policy-with-a-user-over", "newer", policy([rule({"user": {"id": 2**32, "name": "u"}})]))
    yield holds_it("policy-with-a-secret", "newer", policy(secrets={"made_up": b"made-up"}))
    yield holds_it("policy-with-space", "newer", Record("-", b'{"rules": []}', kind=2))
    yield holds_it("head-no-json", "damaged", Record("-", b"made up", kind=3))
    yield holds_it("head-without-a-mac", "damaged", Record("-", {"sequence": 1}, kind=3))
    yield holds_it("head-with-a-short-mac", "damaged", head(mac="ab" * 31))
    yield holds_it("head-of-the-last-line", "damaged", head(sequence=2**64 - 2))


def small():
    for section in good, header_refusals, root_refusals, record_refusals, content_refusals:
        yield from section()


def large():
    """As many secrets as there may be; the largest record, and the first that is larger."""
    many = {f"token.{index}": b"t" for index in range(255)} | {"client_secret": b"s"}
    yield opens("secrets-256", [Record("x", credential(tokens=[TOKEN] * 255), dict(sorted(many.items())))])
    room = 256 * 4095 - len(v.record_content(canonical(credential()), [("client_secret", b"")])) - 1
    yield opens("record-at-most-length", [Record("x", credential(), {"client_secret": b"s" * room})])
    longer = Record("x", credential(), {"client_secret": b"s" * (room + 1)})
    yield "record-of-one-more-block", [f"root: has a record over the limit of {1 << 20}"], None, build([longer])


def write(folder, vectors):
    names = set()
    for name, refused, expected, data in vectors:
        assert name not in names, name
        names.add(name)
        fields = [f"refused: {line}" for line in refused]
        if expected is not None:
            fields.append("holds: " + json.dumps(expected, ensure_ascii=False, separators=(",", ":")))
        fields += [f"key-file: {KEY_FILE.hex()}", f"passphrase: {PASSPHRASE.decode()}"]
        digits = base64.b64encode(data).decode()
        lines = [digits[start : start + 120] for start in range(0, len(digits), 120)]
        (Path(folder) / (name + ".vector")).write_text("\n".join(fields) + "\n\n" + "\n".join(lines) + "\n")


# --- Broken copies of a vault


def broken(vault, rng):
    """One copy of a vault with one change; under its seals or not."""
    header = vault.header.bytes

    def change(data):
        data = bytearray(data)
        if not data:
            return b"\0"
        place, way = rng.randrange(len(data)), rng.randrange(8)
        if way == 0:
            del data[place:]
        elif way == 1:
            data.insert(place, rng.randrange(256))
        elif way == 2:
            del data[place]
        else:
            data[place] ^= 1 << rng.randrange(8)
        return bytes(data)

    def remade(header, root, entries):
        context = b"claviger root" + header
        sealed = v.seal(root, context, v.subkey(vault.key, 2), rng.randbytes(24))
        return header + struct.pack("<Q", len(sealed)) + sealed + b"".join(entries)

    sealed_length = struct.unpack("<Q", vault.data[len(header) : len(header) + 8])[0]
    sealed_root = vault.data[len(header) + 8 : len(header) + 8 + sealed_length]
    root = v.unseal(sealed_root, b"claviger root" + header, v.subkey(vault.key, 2))
    records = [entry.sealed for entry in vault.root.entries]
    place = rng.choice(["file", "file", "header", "root", "record", "record"])
    if place == "file":
        return change(vault.data)
    if place == "header":
        # The length stays true, so that the change is not always found by it.
        body = bytearray(change(header[:-64]))
        if len(body) >= 36:
            body[12:16] = struct.pack("<I", len(body) + 64)
        body = bytes(body) + v.blake2b(bytes(body))
        return remade(body + v.blake2b(body, key=v.subkey(vault.key, 1)), root, records)
    if place == "root":
        return remade(header, v.pad(change(root.rstrip(b"\0")[:-1]), 1024), records)
    index = rng.randrange(len(records))
    entry = vault.root.entries[index]
    content = v.pad(change(v.unpad(vault.plaintext(entry), 256, "record")), 256)
    records[index] = v.seal_record(content, vault.id, entry.id, vault.key, rng.randbytes(24))
    entries = [
        v.make_entry(e.id, e.kind, e.stored_name, sealed, vault.key) for e, sealed in zip(vault.root.entries, records, strict=True)
    ]
    notes = [v.make_note(note.slot_id, note.created, note.label.encode()) for note in vault.root.notes]
    return remade(header, v.pad(v.make_root(vault.root.generation, vault.root.committed, notes, entries), 1024), records)


def write_broken(path, key_file, seed, count, folder):
    data = Path(path).read_bytes()
    vault = v.Vault(data, key_file=v.read_key_file(key_file))
    vault.data = data
    rng = random.Random(seed)
    for number in range(count):
        (Path(folder) / f"{number:05}").write_bytes(broken(vault, rng))


if __name__ == "__main__":
    if sys.argv[1] == "broken":
        write_broken(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
    else:
        write(sys.argv[2], {"small": small, "large": large}[sys.argv[1]]())
