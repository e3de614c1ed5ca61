"""A second implementation of the vault format, written from man/claviger-vault.5 alone.

    vault_reference.py read VAULT KEYFILE     prints what the vault holds, as JSON
    vault_reference.py judge KEYFILE FOLDER   prints of every file in the folder what a reader must say of it, as JSON:
                                              what is refused and why, and what can be read
    vault_reference.py write VAULT KEYFILE    writes the vault that standard input describes, as `judge` prints it
    vault_reference.py copy VAULT KEYFILE N   gives every credential N copies, for benchmarks
    vault_reference.py set VAULT KEYFILE NAME MEMBER VALUE
                                              writes one member of a credential's description, for tests: MEMBER is a JSON
                                              pointer (RFC 6901), VALUE is JSON
    vault_reference.py set-secret VAULT KEYFILE NAME SECRET VALUE
                                              adds a secret to a credential, or replaces it

It shares no code with claviger: where the two agree, the page is complete. It refuses what claviger refuses, in the same
words, and nothing else.
"""

import hashlib
import json
import os
import struct
import sys
import unicodedata
from pathlib import Path

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as aead_open,
    crypto_aead_xchacha20poly1305_ietf_encrypt as aead_seal,
)
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

# The folder is the package manager's.
sys.dont_write_bytecode = True
import vault_contents

MAGIC = b"claviger"
CREDENTIAL, POLICY, HEAD = 1, 2, 3
ONLY = {POLICY: ("policy", "policies"), HEAD: ("head of the log's chain", "heads of the log's chain")}
PASSPHRASE_SLOT, KEY_FILE_SLOT, RECIPIENT_SLOT = 1, 2, 3
SLOT_KINDS = {1: "passphrase", 2: "key file", 3: "recipient"}
PARAMETERS = {PASSPHRASE_SLOT: 28, KEY_FILE_SLOT: 0, RECIPIENT_SLOT: 32}
WRAPPED = {PASSPHRASE_SLOT: 72, KEY_FILE_SLOT: 72, RECIPIENT_SLOT: 80}
MAX_HEADER, MAX_SLOTS, MAX_COST = 65536, 64, 51539607552
MAX_ROOT, MAX_RECORDS, MAX_RECORD, MAX_NAME, MAX_LABEL, MAX_SECRETS = 1 << 30, 1 << 20, 1 << 20, 512, 512, 256
ROOT_BLOCK, RECORD_BLOCK = 1024, 256


class Refusal(Exception):
    """The vault, or one record of it, is refused: in which part, and why."""

    def __init__(self, part, reason=""):
        super().__init__(f"{part}: {reason}" if reason else part)
        self.part, self.reason = part, reason


def blake2b(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def subkey(vault_key, number):
    return hashlib.blake2b(
        b"", digest_size=32, key=vault_key, salt=struct.pack("<Q", number).ljust(16, b"\0"), person=b"claviger".ljust(16, b"\0")
    ).digest()


def pad(data, block):
    padded = data + b"\x80"
    return padded + b"\0" * (-len(padded) % block)


def unpad(data, block, part):
    stripped = data.rstrip(b"\0")
    if not data or len(data) % block or not stripped.endswith(b"\x80") or len(data) - len(stripped) >= block:
        raise Refusal(part, "is not padded as it should be")
    return stripped[:-1]


def seal(plaintext, context, key, nonce):
    return nonce + aead_seal(plaintext, context, nonce, key)


def unseal(sealed, context, key):
    """The plaintext, or None."""
    try:
        return aead_open(sealed[24:], context, sealed[:24], key) if len(sealed) >= 40 else None
    except CryptoError:
        return None


def text(data):
    """The text, or None for what is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def nfc(name):
    return unicodedata.normalize("NFC", name)


def alias(name):
    """What a record is called whose name in NFC is another one's."""
    return "".join(character if ord(character) < 128 else f"\\u{{{ord(character):x}}}" for character in name)


class Reader:
    def __init__(self, data, part):
        self.data, self.part, self.position = data, part, 0

    def take(self, count):
        if self.position + count > len(self.data):
            raise Refusal(self.part, "ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self, width):
        return int.from_bytes(self.take(width), "little")

    def bounded(self, limit, what, width=4):
        value = self.number(width)
        if value > limit:
            raise Refusal(self.part, f"{what} over the limit of {limit}")
        return value

    def finish(self):
        if self.position != len(self.data):
            raise Refusal(self.part, "has trailing bytes")


# --- Reading


def read_key_file(path):
    line = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    line = line.removesuffix(b"\r\n") if line.endswith(b"\r\n") else line.removesuffix(b"\n")
    digits = line.removeprefix(b"claviger-key-1 ")
    if len(line) != 79 or len(digits) != 64 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise Refusal("key file")
    return bytes.fromhex(digits.decode())


class Header:
    """The header of a file, and where it ends."""

    def __init__(self, data):
        reader = Reader(data[:36], "header")
        if len(data) < 36:
            raise Refusal("header", "ends too early")
        if reader.take(8) != MAGIC:
            raise Refusal("header", "is not that of a claviger vault")
        if (version := reader.number(4)) != 1:
            raise Refusal("version", str(version))
        length = reader.bounded(MAX_HEADER, "has a length")
        self.bytes = data[:length]
        if length < 100 or len(data) < length:
            raise Refusal("header", "ends too early")
        if self.bytes[-64:-32] != blake2b(self.bytes[:-64]):
            raise Refusal("header", "does not match its checksum")

    def read_slots(self):
        reader = Reader(self.bytes[:-64], "header")
        reader.take(16)
        self.vault_id, self.slots = reader.take(16), []
        count = reader.bounded(MAX_SLOTS, "has a number of slots")
        if count == 0:
            raise Refusal("header", "has no slot")
        for _ in range(count):
            self.slots.append(Slot(reader))
        reader.finish()
        if len({slot.id for slot in self.slots}) != count:
            raise Refusal("header", "has two slots of one id")
        if sum(slot.passes * slot.memory for slot in self.slots) > MAX_COST:
            raise Refusal("header", "asks for more work to open it than any vault needs")


class Slot:
    def __init__(self, reader):
        start = reader.position
        self.kind = reader.number(1)
        if self.kind not in SLOT_KINDS:
            raise Refusal("header", f"has a slot of the unknown kind {self.kind}")
        if reader.number(1):
            raise Refusal("header", "has a reserved byte that is not zero")
        length = reader.number(2)
        self.id = reader.take(16)
        body = Reader(reader.take(length), "header")
        self.parameters, self.passes, self.memory = b"", 0, 0
        if self.kind == PASSPHRASE_SLOT:
            self.passes, self.memory = body.number(4), body.number(8)
            if self.passes < 1 or self.memory < 8192:
                raise Refusal("header", "has a passphrase slot that costs too little")
            if self.passes > 16 or self.memory > 2147483648:
                raise Refusal("header", "has a passphrase slot that costs too much")
            self.salt = body.take(16)
        elif self.kind == RECIPIENT_SLOT:
            body.take(32)
        self.preamble = reader.data[start : start + 20 + body.position]
        self.wrapped = body.take(WRAPPED[self.kind])
        body.finish()

    def open(self, vault_id, key_file, passphrase):
        if self.kind == KEY_FILE_SLOT and key_file is not None:
            key = blake2b(b"claviger key file" + vault_id, key=key_file)
        elif self.kind == PASSPHRASE_SLOT and passphrase is not None:
            key = argon2id.kdf(32, passphrase, self.salt, opslimit=self.passes, memlimit=self.memory)
        else:
            return None
        return unseal(self.wrapped, b"claviger slot" + vault_id + self.preamble, key)


class Root:
    def __init__(self, plaintext):
        reader = Reader(unpad(plaintext, ROOT_BLOCK, "root"), "root")
        self.generation, self.committed = reader.number(8), reader.number(8)
        self.notes = [Note(reader) for _ in range(reader.bounded(MAX_SLOTS, "has a number of slot notes"))]
        self.entries = []
        names = {}
        for _ in range(reader.bounded(MAX_RECORDS, "has a number of records")):
            entry = Entry(reader)
            if self.entries and entry.id <= self.entries[-1].id:
                raise Refusal("root", "is not in order")
            self.check_name(entry, names)
            self.entries.append(entry)
        reader.finish()

    def check_name(self, entry, names):
        if entry.name is None:
            raise Refusal("root", "has a name that is no text")
        one, two = ONLY.get(entry.kind, (None, None))
        if one and entry.name != "-":
            raise Refusal("root", f"has a {one} that is not named -")
        others = names.setdefault((entry.kind, nfc(entry.name)), [])
        for other in others:
            if other.name == entry.name:
                raise Refusal("root", f"has two {two}" if two else "has two records of one name")
            twin = entry if other.name == nfc(other.name) else other
            twin.shown = alias(twin.name)
        others.append(entry)

    def check_notes(self, slots):
        ids = [note.slot_id for note in self.notes]
        if len(set(ids)) != len(ids):
            raise Refusal("root", "has two notes on one slot")
        if not set(ids) <= {slot.id for slot in slots}:
            raise Refusal("root", "has a note on a slot that is not there")


class Note:
    def __init__(self, reader):
        self.slot_id, self.created = reader.take(16), reader.number(8)
        self.label = text(reader.take(reader.bounded(MAX_LABEL, "has a label", width=2)))
        if self.label is None:
            raise Refusal("root", "has a label that is no text")


class Entry:
    def __init__(self, reader):
        self.id, self.kind = reader.take(16), reader.number(1)
        self.length = reader.bounded(MAX_RECORD, "has a record")
        if self.length <= 40 or (self.length - 40) % RECORD_BLOCK:
            raise Refusal("root", "has a record of an impossible length")
        self.hash = reader.take(32)
        length = reader.number(2)
        if not 1 <= length <= MAX_NAME:
            raise Refusal("root", "has a name of an impossible length")
        self.stored_name = reader.take(length)
        self.name = text(self.stored_name)
        self.shown = None if self.name is None else nfc(self.name)


class Vault:
    """A whole vault, opened: its records are read one by one, so that a damaged one hides no other."""

    def __init__(self, data, key_file=None, passphrase=None):
        self.header = Header(data)
        header = self.header.bytes
        reader = Reader(data[len(header) : len(header) + 8], "root")
        length = reader.number(8)
        if length > MAX_ROOT:
            raise Refusal("root", f"has a length over the limit of {MAX_ROOT}")
        start = len(header) + 8
        if length > len(data) - start:
            raise Refusal("root", "ends too early")
        self.header.read_slots()
        self.id = self.header.vault_id
        self.key = self.open_slots(key_file, passphrase)
        if header[-32:] != blake2b(header[:-32], key=subkey(self.key, 1)):
            raise Refusal("header", "was changed by somebody without the key")
        root = unseal(data[start : start + length], b"claviger root" + header, subkey(self.key, 2))
        if root is None:
            raise Refusal("root", "does not open")
        self.root = Root(root)
        self.root.check_notes(self.header.slots)
        self.records = data[start + length :]
        total = sum(entry.length for entry in self.root.entries)
        if total != len(self.records):
            raise Refusal("records", "end too early" if total > len(self.records) else "have trailing bytes")
        position = 0
        for entry in self.root.entries:
            entry.sealed = self.records[position : position + entry.length]
            position += entry.length

    def open_slots(self, key_file, passphrase):
        for slot in self.header.slots:
            if (key := slot.open(self.id, key_file, passphrase)) is not None:
                return key
        raise Refusal("key")

    def plaintext(self, entry):
        """A record's padded content."""
        if blake2b(entry.sealed, key=subkey(self.key, 4)) != entry.hash:
            raise Refusal("record", "is not the one in the root")
        content = unseal(entry.sealed, b"claviger record" + self.id + entry.id, subkey(self.key, 3))
        if content is None:
            raise Refusal("record", "does not open")
        return content

    def read(self, entry):
        return parse_record(self.plaintext(entry))


def parse_record(content):
    """The description and the secrets, as bytes."""
    reader = Reader(unpad(content, RECORD_BLOCK, "record"), "record")
    description = reader.take(reader.bounded(MAX_RECORD, "has a description"))
    secrets, last = {}, b""
    for _ in range(reader.bounded(MAX_SECRETS, "has a number of secrets")):
        name = reader.take(reader.number(1))
        if not name or text(name) is None:
            raise Refusal("record", "has a secret whose name is no text")
        if secrets and name <= last:
            raise Refusal("record", "has secrets that are out of order")
        secrets[name.decode()], last = reader.take(reader.bounded(MAX_RECORD, "has a secret")), name
    reader.finish()
    return description, secrets


CHECKS = {
    CREDENTIAL: vault_contents.check_credential,
    POLICY: vault_contents.check_policy,
    HEAD: vault_contents.check_head,
}


def judge(data, **key):
    """What is refused and why, and what can be read."""
    try:
        vault = Vault(data, **key)
    except Refusal as refusal:
        return {"refused": [str(refusal)]}
    notes = {note.slot_id: note for note in vault.root.notes}
    slots = [
        {"id": slot.id.hex(), "kind": SLOT_KINDS[slot.kind]}
        | ({"created": notes[slot.id].created, "label": notes[slot.id].label} if slot.id in notes else {})
        for slot in vault.header.slots
    ]
    refused, records = [], []
    for entry in sorted(vault.root.entries, key=lambda entry: (entry.kind, entry.shown.encode())):
        if entry.kind not in CHECKS:
            continue
        place = {CREDENTIAL: f"credential {entry.shown}", POLICY: "policy", HEAD: "head"}[entry.kind]
        try:
            description, secrets = vault.read(entry)
        except Refusal as refusal:
            refused.append(f"{place}: {refusal.reason}")
            continue
        if verdict := CHECKS[entry.kind](description, secrets):
            refused.append(f"{place}: {verdict}")
        # What is no text is not compared: the two sides need not agree on how to print it.
        records.append(
            {
                "kind": entry.kind,
                "name": entry.shown,
                "description": description.hex(),
                "secrets": {name: value.hex() for name, value in secrets.items()},
            }
        )
    return {"refused": refused, "generation": vault.root.generation, "slots": slots, "records": records}


def read_vault(data, **key):
    """What the vault holds, for people: every record must be readable, and may be a newer version's."""
    vault = Vault(data, **key)
    notes = [{"id": note.slot_id.hex(), "created": note.created, "label": note.label} for note in vault.root.notes]
    records = {}
    for entry in vault.root.entries:
        if entry.kind == CREDENTIAL:
            description, secrets = vault.read(entry)
            records[entry.shown] = {
                "description": json.loads(description),
                "secrets": {name: value.decode() for name, value in secrets.items()},
            }
    return {"generation": vault.root.generation, "committed": vault.root.committed, "slots": notes, "records": records}


# --- Writing


def record_content(description, secrets):
    """The unpadded content; the secrets are pairs, in the order in which they are to stand."""
    content = struct.pack("<I", len(description)) + description + struct.pack("<I", len(secrets))
    for name, value in secrets:
        name = name if isinstance(name, bytes) else name.encode()
        content += struct.pack("<B", len(name)) + name + struct.pack("<I", len(value)) + value
    return content


def make_slot(kind, slot_id, parameters, key, vault_id, vault_key, nonce):
    """A slot that `key` opens."""
    preamble = struct.pack("<BBH", kind, 0, len(parameters) + WRAPPED[kind]) + slot_id + parameters
    return preamble + seal(vault_key, b"claviger slot" + vault_id + preamble, key, nonce)


def make_header(slots, vault_id, mac_key, version=1, count=None, length=None, checksum=None):
    """What is not given is as it should be."""
    body = b"".join(slots)
    length = 36 + len(body) + 64 if length is None else length
    count = len(slots) if count is None else count
    header = MAGIC + struct.pack("<II", version, length) + vault_id + struct.pack("<I", count) + body
    header += checksum or blake2b(header)
    return header + blake2b(header, key=mac_key)


def make_note(slot_id, created, label):
    return slot_id + struct.pack("<QH", created, len(label)) + label


def make_entry(record_id, kind, name, sealed, vault_key, digest=None, length=None):
    digest = digest or blake2b(sealed, key=subkey(vault_key, 4))
    length = len(sealed) if length is None else length
    return record_id + struct.pack("<BI", kind, length) + digest + struct.pack("<H", len(name)) + name


def make_root(generation, committed, notes, entries, note_count=None, entry_count=None):
    """The unpadded root."""
    note_count = len(notes) if note_count is None else note_count
    entry_count = len(entries) if entry_count is None else entry_count
    root = struct.pack("<QQI", generation, committed, note_count) + b"".join(notes)
    return root + struct.pack("<I", entry_count) + b"".join(entries)


def make_file(header, padded_root, records, vault_key, nonce=None, root_length=None):
    sealed = seal(padded_root, b"claviger root" + header, subkey(vault_key, 2), nonce or os.urandom(24))
    length = len(sealed) if root_length is None else root_length
    return header + struct.pack("<Q", length) + sealed + b"".join(records)


def seal_record(padded, vault_id, record_id, vault_key, nonce=None):
    return seal(padded, b"claviger record" + vault_id + record_id, subkey(vault_key, 3), nonce or os.urandom(24))


def write_vault(path, key_file, contents):
    """Writes the vault that `judge` would describe so, with one slot for the key file."""
    vault_id, vault_key, slot_id = os.urandom(16), os.urandom(32), os.urandom(16)
    key = blake2b(b"claviger key file" + vault_id, key=key_file)
    slot = make_slot(KEY_FILE_SLOT, slot_id, b"", key, vault_id, vault_key, os.urandom(24))
    header = make_header([slot], vault_id, subkey(vault_key, 1))
    records = []
    for record in contents["records"]:
        secrets = [(name, bytes.fromhex(value)) for name, value in record["secrets"].items()]
        secrets.sort(key=lambda pair: pair[0].encode())
        content = record_content(bytes.fromhex(record["description"]), secrets)
        record_id = os.urandom(16)
        sealed = seal_record(pad(content, RECORD_BLOCK), vault_id, record_id, vault_key)
        records.append((record_id, record["kind"], nfc(record["name"]).encode(), sealed))
    records.sort()
    notes = [make_note(slot_id, note["created"], note["label"].encode()) for note in contents["slots"][:1]]
    entries = [make_entry(*record, vault_key) for record in records]
    root = pad(make_root(contents["generation"], 1_700_000_000, notes, entries), ROOT_BLOCK)
    new = make_file(header, root, [record[3] for record in records], vault_key)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(new)


def rewrite(path, key_file, change):
    """Commits what `change` makes of the list of entries, each (record id, kind, name, sealed record).

    `change` also gets the function that opens a record and the one that seals one under a new id.
    """
    vault = Vault(Path(path).read_bytes(), key_file=key_file)

    def content(entry):
        return unseal(entry[3], b"claviger record" + vault.id + entry[0], subkey(vault.key, 3))

    def sealed_anew(kind, name, padded):
        new_id = os.urandom(16)
        return new_id, kind, name, seal_record(padded, vault.id, new_id, vault.key)

    old = [(entry.id, entry.kind, entry.stored_name, entry.sealed) for entry in vault.root.entries]
    records = sorted(change(old, content, sealed_anew))
    notes = [make_note(note.slot_id, note.created, note.label.encode()) for note in vault.root.notes]
    entries = [make_entry(*record, vault.key) for record in records]
    root = pad(make_root(vault.root.generation + 1, vault.root.committed, notes, entries), ROOT_BLOCK)
    new = make_file(vault.header.bytes, root, [record[3] for record in records], vault.key)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(new)
    Path(path + ".previous").unlink(missing_ok=True)
    os.link(path, path + ".previous")
    os.rename(path + ".new", path)


def copy(path, key_file, count):
    def with_copies(entries, content, sealed_anew):
        for entry in entries:
            yield entry
            for number in range(1, count + 1) if entry[1] == CREDENTIAL else []:
                yield sealed_anew(CREDENTIAL, entry[2] + b"-%d" % number, content(entry))

    rewrite(path, key_file, with_copies)


def change_record(path, key_file, wanted, change):
    """`change` gets a credential's description and its secrets, and changes them in place."""

    def with_change(entries, content, sealed_anew):
        assert any(entry[1:3] == (CREDENTIAL, wanted.encode()) for entry in entries), "no such credential"
        for entry in entries:
            if entry[1:3] != (CREDENTIAL, wanted.encode()):
                yield entry
                continue
            stored, secrets = parse_record(content(entry))
            description = json.loads(stored)
            change(description, secrets)
            ordered = sorted(secrets.items(), key=lambda pair: pair[0].encode())
            new = record_content(vault_contents.canonical(description), ordered)
            yield sealed_anew(CREDENTIAL, entry[2], pad(new, RECORD_BLOCK))

    rewrite(path, key_file, with_change)


def set_member(path, key_file, name, pointer, value):
    def change(description, secrets):
        *parents, last = pointer.removeprefix("/").split("/")
        place = description
        for step in parents:
            place = place[int(step) if isinstance(place, list) else step]
        place[last] = value

    change_record(path, key_file, name, change)


def main():
    command, *arguments = sys.argv[1:]
    if command == "judge":
        key = read_key_file(arguments[0])
        files = sorted(Path(arguments[1]).iterdir())
        print(json.dumps({file.name: judge(file.read_bytes(), key_file=key) for file in files}))
        return
    path, key = arguments[0], read_key_file(arguments[1])
    if command == "read":
        print(json.dumps(read_vault(Path(path).read_bytes(), key_file=key)))
    elif command == "write":
        write_vault(path, key, json.load(sys.stdin))
    elif command == "copy":
        copy(path, key, int(arguments[2]))
    elif command == "set":
        set_member(path, key, arguments[2], arguments[3], json.loads(arguments[4]))
    elif command == "set-secret":
        name, secret, value = arguments[2:]
        change_record(path, key, name, lambda description, secrets: secrets.update({secret: value.encode()}))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
