"""Reads a QR code out of what a terminal would show: usage qr_reader.py FILE. Prints what the code says."""

import re
import sys

import numpy
import zxingcpp

text = open(sys.argv[1], encoding="utf-8").read()
rows = []
for line in re.findall(r"\x1b\[30;107m([^\x1b]*)\x1b\[0m", text):
    rows.append([c in "█▀" for c in line])
    rows.append([c in "█▄" for c in line])
picture = numpy.where(numpy.array(rows), 0, 255).astype(numpy.uint8)
found = zxingcpp.read_barcode(numpy.kron(picture, numpy.ones((8, 8), dtype=numpy.uint8)))
print(found.text)
