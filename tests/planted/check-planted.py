#!/usr/bin/env python3
"""Proves that a planted defect is noticed, by the way in which ./check notices real ones.

A Criterion program's exit status hides leaks, so reports are collected by log_path. UBSan of GCC beside
ASan does not know log_path: it writes to standard error and, with -fno-sanitize-recover=all, ends the
test, which the exit status shows.

usage: check-planted.py PROGRAM
"""
import os
import pathlib
import subprocess
import sys
import tempfile

CASES = [
    ('leak', 'LeakSanitizer: detected memory leaks'),
    ('overflow', 'AddressSanitizer: heap-buffer-overflow'),
    ('shift', 'shift exponent 40 is too large'),
    ('nothing', None),
]


def reports_of(program, test):
    with tempfile.TemporaryDirectory() as name:
        log = f'{name}/report'
        options = f'log_path={log}:detect_leaks=1'
        env = dict(os.environ, ASAN_OPTIONS=options, LSAN_OPTIONS=options, UBSAN_OPTIONS=f'log_path={log}:print_stacktrace=1')
        run = subprocess.run([program, '--filter', f'planted/{test}'], env=env, capture_output=True, text=True, timeout=60)
        text = '\n'.join(p.read_text(errors='replace') for p in sorted(pathlib.Path(name).iterdir()))
        return run.returncode, text + (run.stderr if run.returncode else '')


def main():
    failed = 0
    print(f'1..{len(CASES)}')
    for number, (test, words) in enumerate(CASES, 1):
        status, text = reports_of(sys.argv[1], test)
        good = words in text if words else text == ''
        failed += not good
        print(f'{"ok" if good else "not ok"} {number} - planted {test}: '
              f'{"reported" if text else "no report"}, exit status {status}')
        if not good:
            print(''.join(f'# {line}\n' for line in text.splitlines()[:40]), end='')
    return 1 if failed else 0


sys.exit(main())
