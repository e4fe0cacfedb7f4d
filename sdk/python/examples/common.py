"""What the examples share: finding the client beside them, one HTTP call, and a desktop from the command line."""

import argparse
import contextlib
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from deskfarm import Deskfarm  # noqa: E402


def post(url, body, headers):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def arguments(text, needs_task=True):
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("task", nargs=None if needs_task else "?", help="what the model shall do")
    parser.add_argument("--image", default="debian-xfce", help="of the desktop")
    parser.add_argument("--sandbox", help="an existing desktop instead of a new one")
    parser.add_argument("--turns", type=int, default=100, help="at most so many")
    return parser.parse_args()


@contextlib.contextmanager
def desktop(options):
    """The desktop of the command line; a new one is deleted at the end."""
    farm = Deskfarm()
    if options.sandbox:
        yield farm.sandbox(options.sandbox)
        return
    with farm.create(options.image) as made:
        made.wait_up()
        yield made
