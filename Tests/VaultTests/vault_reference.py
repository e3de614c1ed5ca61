"""A second implementation of the vault format, written from man/claviger-vault.5 alone.

    vault_reference.py read VAULT KEYFILE     prints what the vault holds, as JSON
    vault_reference.py vectors FOLDER         writes the test vectors
    vault_reference.py copy VAULT KEYFILE N   gives every credential N copies, for benchmarks
    vault_reference.py set VAULT KEYFILE NAME MEMBER VALUE
                                              writes one member of a credential's description, for tests: MEMBER is a JSON
                                              pointer (RFC 6901), VALUE is JSON
    vault_reference.py set-secret VAULT KEYFILE NAME SECRET VALUE
                                              adds a secret to a credential, or replaces it

It shares no code with claviger: where the two agree, the page is complete.
"""

import hashlib
import json
import os
import struct
import sys
from pathlib import Path

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as aead_open,
    crypto_aead_xchacha20poly1305_ietf_encrypt as aead_seal,
)
from nacl.pwhash import argon2id

MAGIC = b"claviger"
CREDENTIAL = 1


def blake2b(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def subkey(vault_key, number):
    return hashlib.blake2b(
        b"", digest_size=32, key=vault_key, salt=struct.pack("<Q", number).ljust(16, b"\0"), person=b"claviger".ljust(16, b"\0")
    ).digest()


def pad(data, block):
    padded = data + b"\x80"
    return padded + b"\0" * (-len(padded) % block)


def unpad(data, block):
    assert data and len(data) % block == 0
    stripped = data.rstrip(b"\0")
    assert stripped.endswith(b"\x80") and len(data) - len(stripped) < block
    return stripped[:-1]


def seal(plaintext, context, key, nonce):
    return nonce + aead_seal(plaintext, context, nonce, key)


def unseal(sealed, context, key):
    return aead_open(sealed[24:], context, sealed[:24], key)


class Reader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, count):
        assert self.position + count <= len(self.data)
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self, width):
        return int.from_bytes(self.take(width), "little")

    def finish(self):
        assert self.position == len(self.data)


# --- Reading


def read_key_file(path):
    word, digits = Path(path).read_text().split()
    assert word == "claviger-key-1" and len(digits) == 64
    return bytes.fromhex(digits)


def read_slots(header):
    reader = Reader(header)
    assert reader.take(8) == MAGIC and reader.number(4) == 1
    assert reader.number(4) == len(header)
    vault_id = reader.take(16)
    slots = []
    for _ in range(reader.number(4)):
        start = reader.position
        kind, reserved, length, slot_id = reader.number(1), reader.number(1), reader.number(2), reader.take(16)
        body = reader.take(length)
        wrapped_length = {1: 72, 2: 72, 3: 80}[kind]
        preamble = header[start : start + 20] + body[:-wrapped_length]
        slots.append((kind, slot_id, body[:-wrapped_length], body[-wrapped_length:], preamble))
        assert reserved == 0
    assert reader.take(32) == blake2b(header[:-64])
    return vault_id, slots


def open_vault(data, key_file=None, passphrase=None):
    header_length = struct.unpack("<I", data[12:16])[0]
    header = data[:header_length]
    vault_id, slots = read_slots(header)
    vault_key = None
    for kind, _, parameters, wrapped, preamble in slots:
        if kind == 2 and key_file:
            key = blake2b(b"claviger key file" + vault_id, key=key_file)
        elif kind == 1 and passphrase:
            passes, memory = struct.unpack("<IQ", parameters[:12])
            key = argon2id.kdf(32, passphrase, parameters[12:], opslimit=passes, memlimit=memory)
        else:
            continue
        vault_key = unseal(wrapped, b"claviger slot" + vault_id + preamble, key)
    assert vault_key, "no slot for this key"
    assert header[-32:] == blake2b(header[:-32], key=subkey(vault_key, 1))
    root_length = struct.unpack("<Q", data[header_length : header_length + 8])[0]
    root_start = header_length + 8
    root = unseal(data[root_start : root_start + root_length], b"claviger root" + header, subkey(vault_key, 2))
    return vault_id, vault_key, Reader(unpad(root, 1024)), data[root_start + root_length :]


def read_vault(data, **key):
    vault_id, vault_key, root, records = open_vault(data, **key)
    result = {"generation": root.number(8), "committed": root.number(8), "slots": [], "records": {}}
    for _ in range(root.number(4)):
        slot_id, created = root.take(16), root.number(8)
        result["slots"].append({"id": slot_id.hex(), "created": created, "label": root.take(root.number(2)).decode()})
    position, last_id = 0, b""
    for _ in range(root.number(4)):
        record_id, kind, length, digest = root.take(16), root.number(1), root.number(4), root.take(32)
        name = root.take(root.number(2)).decode()
        assert record_id > last_id
        last_id = record_id
        sealed = records[position : position + length]
        position += length
        assert blake2b(sealed, key=subkey(vault_key, 4)) == digest
        if kind == CREDENTIAL:
            result["records"][name] = read_record(sealed, vault_id, record_id, vault_key)
    root.finish()
    assert position == len(records)
    return result


def read_record(sealed, vault_id, record_id, vault_key):
    description, secrets = parse_record(unseal(sealed, b"claviger record" + vault_id + record_id, subkey(vault_key, 3)))
    return {"description": description, "secrets": secrets}


def parse_record(content):
    reader = Reader(unpad(content, 256))
    description = reader.take(reader.number(4))
    secrets = {}
    for _ in range(reader.number(4)):
        name = reader.take(reader.number(1)).decode()
        secrets[name] = reader.take(reader.number(4)).decode()
    reader.finish()
    return json.loads(description), secrets


def record_content(description, secrets):
    content = struct.pack("<I", len(description)) + description + struct.pack("<I", len(secrets))
    for name, value in secrets:
        content += struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", len(value.encode())) + value.encode()
    return content


def rewrite(path, key_file, change):
    """Commits what `change` makes of the list of entries, each (record id, kind, name, sealed record).

    `change` also gets the function that opens a record and the one that seals one under a new id.
    """
    data = Path(path).read_bytes()
    vault_id, vault_key, root, records = open_vault(data, key_file=key_file)
    header = data[: struct.unpack("<I", data[12:16])[0]]
    generation, committed, notes = root.number(8), root.number(8), root.number(4)
    plain = struct.pack("<QQI", generation + 1, committed, notes)
    for _ in range(notes):
        plain += root.take(24)
        length = root.number(2)
        plain += struct.pack("<H", length) + root.take(length)
    entries, position = [], 0
    for _ in range(root.number(4)):
        record_id, kind, length, _ = root.take(16), root.number(1), root.number(4), root.take(32)
        name, sealed = root.take(root.number(2)), records[position : position + length]
        position += length
        entries.append((record_id, kind, name, sealed))

    def content(entry):
        return unseal(entry[3], b"claviger record" + vault_id + entry[0], subkey(vault_key, 3))

    def sealed_anew(kind, name, padded):
        new_id = os.urandom(16)
        context = b"claviger record" + vault_id + new_id
        return new_id, kind, name, seal(padded, context, subkey(vault_key, 3), os.urandom(24))

    entries = sorted(change(entries, content, sealed_anew))
    plain += struct.pack("<I", len(entries))
    for record_id, kind, name, sealed in entries:
        plain += record_id + struct.pack("<BI", kind, len(sealed)) + blake2b(sealed, key=subkey(vault_key, 4))
        plain += struct.pack("<H", len(name)) + name
    sealed_root = seal(pad(plain, 1024), b"claviger root" + header, subkey(vault_key, 2), os.urandom(24))
    new = header + struct.pack("<Q", len(sealed_root)) + sealed_root + b"".join(entry[3] for entry in entries)
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
            description, secrets = parse_record(content(entry))
            change(description, secrets)
            # As the page says: no white space, members in ascending order.
            text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            yield sealed_anew(CREDENTIAL, entry[2], pad(record_content(text, sorted(secrets.items())), 256))

    rewrite(path, key_file, with_change)


def set_member(path, key_file, name, pointer, value):
    def change(description, secrets):
        *parents, last = pointer.removeprefix("/").split("/")
        place = description
        for step in parents:
            place = place[int(step) if isinstance(place, list) else step]
        place[last] = value

    change_record(path, key_file, name, change)


# --- Writing vectors: everything is derived from fixed bytes, so that they come out the same each time.

VAULT_ID = bytes(range(16))
VAULT_KEY = bytes(range(32, 64))
KEY_FILE = bytes(range(64, 96))
PASSPHRASE = b"made-up passphrase"


def fixed(label, count):
    return hashlib.shake_256(label.encode()).digest(count)


def slot(kind, label, parameters, key):
    slot_id = fixed("slot " + label, 16)
    preamble = struct.pack("<BBH", kind, 0, len(parameters) + 72) + slot_id + parameters
    wrapped = seal(VAULT_KEY, b"claviger slot" + VAULT_ID + preamble, key, fixed("nonce slot " + label, 24))
    return slot_id, preamble + wrapped


def passphrase_slot(passes=1, memory=8192):
    salt = fixed("salt", 16)
    key = argon2id.kdf(32, PASSPHRASE, salt, opslimit=passes, memlimit=memory)
    return slot(1, "passphrase", struct.pack("<IQ", passes, memory) + salt, key)


def key_file_slot():
    return slot(2, "key file", b"", blake2b(b"claviger key file" + VAULT_ID, key=KEY_FILE))


def make_header(slots, version=1, mac_key=None, checksum=None, reserved_count=None):
    body = b"".join(data for _, data in slots)
    count = len(slots) if reserved_count is None else reserved_count
    header = MAGIC + struct.pack("<II", version, 36 + len(body) + 64) + VAULT_ID + struct.pack("<I", count) + body
    header += checksum or blake2b(header)
    return header + blake2b(header, key=mac_key or subkey(VAULT_KEY, 1))


def make_record(name, secrets, description=b'{"made":"up"}', block=256, swap_order=False):
    content = record_content(description, sorted(secrets.items(), reverse=swap_order))
    record_id = fixed("record " + name, 16)
    context = b"claviger record" + VAULT_ID + record_id
    return record_id, name, seal(pad(content, block), context, subkey(VAULT_KEY, 3), fixed("nonce " + name, 24))


def make_root(slots, records, generation=7, trailing=b"", padding=None, order=sorted):
    root = struct.pack("<QQI", generation, 1_700_000_000, len(slots))
    for slot_id, _ in slots:
        root += slot_id + struct.pack("<QH", 1_600_000_000, 5) + b"label"
    entries = order(records)
    root += struct.pack("<I", len(entries))
    for record_id, name, sealed in entries:
        digest = blake2b(sealed, key=subkey(VAULT_KEY, 4))
        root += record_id + struct.pack("<BI", CREDENTIAL, len(sealed)) + digest
        root += struct.pack("<H", len(name.encode())) + name.encode()
    return padding(root + trailing) if padding else pad(root + trailing, 1024)


def make_file(header, root, records, tail=b""):
    sealed = seal(root, b"claviger root" + header, subkey(VAULT_KEY, 2), fixed("nonce root", 24))
    return header + struct.pack("<Q", len(sealed)) + sealed + b"".join(r[2] for r in sorted(records)) + tail


def vectors():
    both = [passphrase_slot(), key_file_slot()]
    alpha = make_record("alpha", {"client_secret": "made-up-secret-a", "token.0": "made-up-token"})
    beta = make_record("beta", {"client_secret": "made-up-secret-b"})
    header, records = make_header(both), [alpha, beta]
    good = make_file(header, make_root(both, records), records)
    yield "good", "opens", good
    yield "empty", "opens", make_file(header, make_root(both, []), [])
    yield "name-in-utf8", "opens", make_file(header, make_root(both, [r := make_record("clé 鍵", {})]), [r])
    yield "slot-of-recipient", "opens", (lambda s: make_file(make_header(s), make_root(s, []), []))(
        both + [(fixed("slot r", 16), struct.pack("<BBH", 3, 0, 112) + fixed("slot r", 16) + fixed("recipient", 112))])
    # The header.
    yield "magic", "header", b"clavigee" + good[8:]
    yield "version-2", "version", make_file(h := make_header(both, version=2), make_root(both, records), records)
    yield "header-checksum", "header", make_file(make_header(both, checksum=bytes(32)), make_root(both, records), records)
    yield "header-mac", "header", make_file(make_header(both, mac_key=bytes(32)), make_root(both, records), records)
    yield "header-length-huge", "header", good[:12] + struct.pack("<I", 0xFFFFFFFF) + good[16:]
    yield "header-length-tiny", "header", good[:12] + struct.pack("<I", 40) + good[16:]
    yield "no-slots", "header", make_file(make_header([]), make_root([], records), records)
    yield "slot-count-65", "header", make_file(make_header(both * 33), make_root(both, records), records)
    yield "slot-count-short", "header", make_file(make_header(both, reserved_count=1), make_root(both, records), records)
    yield "slot-kind-9", "header", make_file(make_header([(both[1][0], b"\x09" + both[1][1][1:])]), make_root(both, []), [])
    yield "slot-reserved", "header", make_file(make_header([(both[1][0], b"\x02\x01" + both[1][1][2:])]), make_root(both, []), [])
    for name, passes, memory in [("passes", 17, 8192), ("no-passes", 0, 8192), ("memory", 1, (2 << 30) + 1), ("no-memory", 1, 8191)]:
        data = both[0][1][:20] + struct.pack("<IQ", passes, memory) + both[0][1][32:]
        yield "slot-" + name, "header", make_file(make_header([(both[0][0], data), both[1]]), make_root(both, []), [])
    yield "slot-of-another-key", "key", make_file(
        make_header([slot(2, "key file", b"", bytes(32))]), make_root(both[1:], records), records)
    # The root.
    yield "root-length-huge", "root", good[: len(header)] + struct.pack("<Q", 1 << 62) + good[len(header) + 8 :]
    other = make_header([both[1]])
    yield "root-under-older-header", "root", other + make_file(header, make_root(both, records), records)[len(header) :]
    yield "root-unpadded", "root", make_file(header, make_root(both, records, padding=lambda r: r + bytes(-len(r) % 1024)), records)
    yield "root-padded-twice", "root", make_file(header, make_root(both, records, padding=lambda r: pad(r, 1024) + bytes(1024)), records)
    yield "root-trailing", "root", make_file(header, make_root(both, records, trailing=b"\x01"), records)
    yield "root-out-of-order", "root", make_file(header, make_root(both, records, order=lambda r: sorted(r, reverse=True)), records)
    yield "root-record-twice", "root", make_file(header, make_root(both, [alpha, alpha]), [alpha, alpha])
    yield "root-name-empty", "root", make_file(header, make_root(both, [r := make_record("", {})]), [r])
    yield "root-name-long", "root", make_file(header, make_root(both, [r := make_record("n" * 513, {})]), [r])
    # The records.
    yield "record-swapped", "records", make_file(header, make_root(both, records), [alpha, (beta[0], "", make_record("beta", {})[2])])
    yield "record-renamed", "records", make_file(
        header, make_root(both, [(alpha[0], "alpha", beta[2]), (beta[0], "beta", alpha[2])]),
        [(alpha[0], "alpha", beta[2]), (beta[0], "beta", alpha[2])])
    yield "record-missing", "records", make_file(header, make_root(both, records), [alpha])
    yield "record-added", "records", make_file(header, make_root(both, [alpha]), records)
    yield "record-padding", "records", make_file(header, make_root(both, [r := make_record("x", {}, block=512)]), [r])
    yield "record-secrets-out-of-order", "records", make_file(
        header, make_root(both, [r := make_record("x", {"a": "made", "b": "up"}, swap_order=True)]), [r])
    yield "trailing", "records", make_file(header, make_root(both, records), records, tail=b"\n")


def write_vectors(folder):
    for name, expected, data in vectors():
        text = f"expect: {expected}\nkey-file: {KEY_FILE.hex()}\npassphrase: {PASSPHRASE.decode()}\n\n"
        lines = [data.hex()[i : i + 120] for i in range(0, len(data.hex()), 120)]
        (Path(folder) / (name + ".vector")).write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(json.dumps(read_vault(Path(sys.argv[2]).read_bytes(), key_file=read_key_file(sys.argv[3]))))
    elif sys.argv[1] == "copy":
        copy(sys.argv[2], read_key_file(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "set":
        set_member(sys.argv[2], read_key_file(sys.argv[3]), sys.argv[4], sys.argv[5], json.loads(sys.argv[6]))
    elif sys.argv[1] == "set-secret":
        path, key, name, secret, value = sys.argv[2:]
        change_record(path, read_key_file(key), name, lambda description, secrets: secrets.update({secret: value}))
    elif sys.argv[1] == "vectors":
        write_vectors(sys.argv[2])
