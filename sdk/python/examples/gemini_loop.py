"""A task by a Gemini model with computer use.

GEMINI_API_KEY and MODEL are needed; GEMINI_BASE_URL may name another address. What needs a confirmation is shown
to whoever runs this.
"""

import os

from common import arguments, desktop, post
from deskfarm import DeskfarmError

BASE = os.environ.get("GEMINI_BASE_URL", "https://generativelanguage.googleapis.com")
HEADERS = {"x-goog-api-key": os.environ.get("GEMINI_API_KEY", "")}


def say(box, content):
    try:
        return box.say("gemini", content, images="last")
    except DeskfarmError as error:
        if error.code != "confirmation_required" or input(f"{error} Agree? [y/N] ") != "y":
            raise
        return box.say("gemini", content, images="last", confirmed=True)


def main():
    options = arguments(__doc__)
    url = f"{BASE}/v1beta/models/{os.environ.get('MODEL', 'gemini')}:generateContent"
    with desktop(options) as box:
        tools = box.tools("gemini")["tools"]
        contents = [{"role": "user", "parts": [{"text": options.task}]}]
        for _ in range(options.turns):
            said = post(url, {"contents": contents, "tools": tools}, HEADERS)["candidates"][0]["content"]
            contents.append(said)
            if not any("functionCall" in part for part in said["parts"]):
                break
            contents.append(say(box, said))
        print("".join(part.get("text", "") for part in said["parts"]))


main()
