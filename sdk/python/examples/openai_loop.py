"""A task by an OpenAI model with the tool "computer".

OPENAI_API_KEY and MODEL are needed; OPENAI_BASE_URL may name another address. Safety checks are shown to
whoever runs this.
"""

import os

from common import arguments, desktop, post
from deskfarm import DeskfarmError

BASE = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
HEADERS = {"Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "")}


def say(box, output):
    try:
        return box.say("openai", output)
    except DeskfarmError as error:
        if error.code != "confirmation_required" or input(f"{error} Agree? [y/N] ") != "y":
            raise
        return box.say("openai", output, confirmed=True)


def main():
    options = arguments(__doc__)
    with desktop(options) as box:
        tools = box.tools("openai")["tools"]
        items = [{"role": "user", "content": options.task}]
        for _ in range(options.turns):
            said = post(BASE + "/responses", {"model": os.environ.get("MODEL", ""), "tools": tools, "input": items,
                                              "truncation": "auto"}, HEADERS)
            items += said["output"]
            if not any(item["type"] == "computer_call" for item in said["output"]):
                break
            items += say(box, said["output"])
        for item in said["output"]:
            for part in item.get("content") or []:
                print(part.get("text", ""))


main()
