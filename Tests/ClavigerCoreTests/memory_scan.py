"""Looks for texts in the whole memory of a process: memory_scan.py PID < TEXTS, one in each line.

Prints the number of each text that was found. Needs root.
"""

import re
import sys

pid = int(sys.argv[1])
texts = [line.encode() for line in sys.stdin.read().split("\n") if line]
wanted = texts + [bytes.fromhex(t.decode()) if re.fullmatch(rb"[0-9a-f]{64}", t) else t for t in texts]
found = set()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if not line.split()[1].startswith("r") or "[vvar" in line or "[vsyscall" in line:
            continue
        try:
            memory.seek(start)
            block = memory.read(end - start)
        except (OSError, OverflowError):
            continue
        for number, text in enumerate(wanted):
            if text in block:
                found.add(number % len(texts))
for number in sorted(found):
    print(number)
