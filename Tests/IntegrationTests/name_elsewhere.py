"""Runs a command where the name here.localhost is another machine's, and says what that machine was sent.

name_elsewhere.py PORT COMMAND ..., in a network and a mount namespace of its own. The other machine is an address of the loopback
device outside of 127.0.0.0/8.
"""

import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading

ADDRESS = "198.51.100.7"


def interface(name, request, address=None, flags=None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        if address:
            value = struct.pack("16sH2s4s8s", name, socket.AF_INET, b"\0\0", socket.inet_aton(address), b"\0" * 8)
        else:
            value = struct.pack("16sh14s", name, flags, b"\0" * 14)
        fcntl.ioctl(any_socket, request, value)


SIOCSIFADDR, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x8914, 1
interface(b"lo", SIOCSIFFLAGS, flags=IFF_UP)
interface(b"lo:1", SIOCSIFADDR, address=ADDRESS)

with tempfile.NamedTemporaryFile("w") as hosts:
    hosts.write(f"127.0.0.1 localhost\n{ADDRESS} here.localhost\n")
    hosts.flush()
    subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    received = []

    def serve(listener):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(5)
            try:
                received.append(connection.recv(1 << 16))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                pass
            connection.close()

    listener = socket.create_server((ADDRESS, int(sys.argv[1])))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    ended = subprocess.run(sys.argv[2:])
    print("sent:", b"".join(received)[:100])
    sys.exit(ended.returncode)
