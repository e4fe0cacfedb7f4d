#!/usr/bin/env python3
"""Every #include "folder/…" must go to the own folder or to one that DESIGN allows it.

The table is the architecture; docs/architecture.md tells it to readers.
"""
import pathlib
import re
import sys

BASE = {'base'}
LEVEL_1 = {'hypervisor', 'display', 'input'}
ALLOWED = {
    'base': set(),
    'api': BASE,
    'hypervisor': BASE,
    'display': BASE,
    'input': BASE,
    'dialect': BASE,
    'stream': BASE | {'display'},
    'farm': BASE | {'api', 'stream'} | LEVEL_1,
    'replay': BASE | {'display', 'input', 'stream'},
    'web': BASE | {'api', 'farm', 'replay', 'dialect'},
    'daemon': BASE | {'api', 'stream', 'farm', 'replay', 'web'} | LEVEL_1,
    'cli': BASE | {'api'},
}
# What a layer may include of a folder that is otherwise closed to it.
FILES = {'web': {'stream/viewer.h', 'input/action.h', 'hypervisor/agent.h'}}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def violations(root):
    for folder, allowed in ALLOWED.items():
        for path in sorted((root / folder).rglob('*.[ch]')):
            for name in INCLUDE.findall(path.read_text(errors='replace')):
                target = name.split('/')[0]
                if name.startswith('.') or '/' not in name:
                    yield f'{path.relative_to(root)}: "{name}" is not rooted'
                elif target not in ALLOWED and not (root / name).exists():
                    continue  # a library's header in quotes, or a generated one
                elif target != folder and target not in allowed and name not in FILES.get(folder, ()):
                    yield f'{path.relative_to(root)}: {folder} may not include "{name}"'


def main():
    root = pathlib.Path(sys.argv[1])
    found = list(violations(root))
    missing = sorted(f.name for f in root.iterdir() if f.is_dir() and f.name not in ALLOWED
                     and any(f.glob('*.c')))
    found += [f'{name}/ has sources and no row in the table' for name in missing]
    print('\n'.join(found) or 'all includes go where they may')
    return 1 if found else 0


sys.exit(main())
