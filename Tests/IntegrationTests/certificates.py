"""Makes an authority and its certificates for tests: certificates.py FOLDER

ca.pem       the authority
NAME.pem     a certificate chain; NAME.key its key: good (127.0.0.1, localhost, auth.example.test), expired,
             other-host, self-signed
client.pem   a client's certificate and its key; stranger.pem one that another authority has made
"""

import datetime
import sys
from pathlib import Path

import trustme

folder = Path(sys.argv[1])
authority = trustme.CA()
authority.cert_pem.write_to_path(str(folder / "ca.pem"))
yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)


def write(name, certificate):
    certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    for index, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(str(folder / f"{name}.pem"), append=index > 0)


client = authority.issue_cert("client.example.test")
(folder / "client.pem").write_bytes(client.private_key_and_cert_chain_pem.bytes())
stranger = trustme.CA().issue_cert("client.example.test")
(folder / "stranger.pem").write_bytes(stranger.private_key_and_cert_chain_pem.bytes())
write("good", authority.issue_cert("127.0.0.1", "localhost", "auth.example.test"))
write("expired", authority.issue_cert("127.0.0.1", not_after=yesterday))
write("other-host", authority.issue_cert("other.example.test"))
write("self-signed", trustme.CA().issue_cert("127.0.0.1"))
