#!/usr/bin/env python3
"""Writes the browser's files as a C table: embed.py OUTPUT FILE…"""

import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def rows(data):
    for at in range(0, len(data), 24):
        yield "    " + ",".join(str(byte) for byte in data[at : at + 24]) + ","


def main(output, paths):
    table, arrays = [], []
    for index, path in enumerate(paths):
        with open(path, "rb") as file:
            data = file.read()
        name = os.path.basename(path)
        kind = TYPES[os.path.splitext(name)[1]]
        etag = hashlib.sha256(data).hexdigest()[:24]
        arrays += [f"static const unsigned char file_{index}[] = {{", *rows(data), "};", ""]
        table.append(f'    {{ "{name}", "{kind}", "{etag}", file_{index}, {len(data)} }},')
    lines = ['/* Made by web/ui/embed.py. */', '#include "web/page.h"', "", *arrays]
    lines += ["const struct page_file page_files[] = {", *table, "};", ""]
    lines += [f"const size_t page_n_files = {len(table)};", ""]
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines))


main(sys.argv[1], sys.argv[2:])
