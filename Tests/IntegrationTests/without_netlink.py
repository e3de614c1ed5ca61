"""Runs a program that the kernel lets have no netlink socket, as some sandboxes do: without_netlink.py PROGRAM ARGUMENTS"""

import ctypes
import os
import platform
import struct
import sys

SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
AF_NETLINK, EPERM = 16, 1


def instruction(code, true, false, value):
    return struct.pack("=HBBI", code, true, false, value)


# seccomp(2): of a struct seccomp_data, the number of the call, and the low half of its first argument.
filters = b"".join([
    instruction(0x20, 0, 0, 0),
    instruction(0x15, 0, 3, SOCKET),
    instruction(0x20, 0, 0, 16),
    instruction(0x15, 0, 1, AF_NETLINK),
    instruction(0x06, 0, 0, 0x00050000 | EPERM),
    instruction(0x06, 0, 0, 0x7FFF0000),
])


class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("filters", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
    PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(filters) // 8, filters)), 0, 0
):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
