"""A task by a Claude model: the loop, with nothing between the model's answer and the desktop.

ANTHROPIC_API_KEY and MODEL are needed; ANTHROPIC_BASE_URL may name another address.
"""

import os

from common import arguments, desktop, post

BASE = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
HEADERS = {"x-api-key": os.environ.get("ANTHROPIC_API_KEY", ""), "anthropic-version": "2023-06-01"}


def main():
    options = arguments(__doc__)
    with desktop(options) as box:
        tools = box.tools("anthropic")["tools"]
        messages = [{"role": "user", "content": options.task}]
        for _ in range(options.turns):
            said = post(BASE + "/v1/messages", {"model": os.environ.get("MODEL", ""), "max_tokens": 4096,
                                                "tools": tools, "messages": messages}, HEADERS)
            messages.append({"role": "assistant", "content": said["content"]})
            if said["stop_reason"] != "tool_use":
                break
            messages.append(box.say("anthropic", said))
        print("".join(block.get("text", "") for block in said["content"]))


main()
