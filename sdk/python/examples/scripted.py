"""A task by a model that is no model: it says what a script says, in Anthropic's language, and needs no network.

The loop is that of anthropic_loop.py; only the call to the model is another. The script opens the editor, writes a
paragraph in three scripts, saves it and leaves. DESKFARM_URL names the farm.
"""

import re
import time

from common import arguments, desktop

TEXT = "The quick brown fox jumps over the lazy dog.\nСъешь ещё этих мягких французских булок.\n天地玄黃,宇宙洪荒。\n"
NAME = "three scripts.txt"

EDITOR, SAVE_AS = r"Mousepad$", r"^Save"


def tool(name, **given):
    return {"type": "tool_use", "id": "", "name": name, "toolset_name": "computer", "input": given}


# What is seen before it is said (the title of the active window, and a control that shows; None: anything), and what
# is said. A dialog may be there before it has read its folder, and takes no Return until then: so the name is typed
# without one, and Return pressed in a turn of its own.
SCRIPT = [
    (None, None, [tool("left_click", coordinate=[760, 777])]),
    (EDITOR, None, [tool("type", text=TEXT), tool("key", text="ctrl+s")]),
    (SAVE_AS, "Templates", [tool("key", text="ctrl+a"), tool("type", text=NAME)]),
    (SAVE_AS, None, [tool("key", text="Return")]),
    (r"three scripts.*Mousepad$", None, [tool("key", text="ctrl+q"), tool("screenshot")]),
]


class ScriptedModel:
    """Says one step of the script per call. Its eyes are what the guest's programs tell instead of the screenshot. A key
    that came to nothing it presses again."""

    def __init__(self, box, script, patience_s=45, tries=3):
        self.box, self.steps, self.patience_s, self.tries = box, list(script), patience_s, tries
        self.last = []

    def __call__(self, tools, messages):
        if not self.steps:
            return {"stop_reason": "end_turn", "content": [{"type": "text", "text": "saved as " + NAME}]}
        title, control, calls = self.steps[0]
        if self.sees(title, control):
            self.steps.pop(0)
            self.last = calls
        elif self.tries == 0 or [call["name"] for call in self.last] != ["key"]:
            raise SystemExit(f"no window {title} with {control}; there are {[w.get('title') for w in self.box.windows()]}")
        else:
            self.tries -= 1
        content = [{**call, "id": f"toolu_{len(messages)}_{i}"} for i, call in enumerate(self.last)]
        return {"stop_reason": "tool_use", "content": content}

    def sees(self, title, control):
        """Whether the window is active and shows the control, within the model's patience. None: anything."""
        end = time.monotonic() + self.patience_s
        while time.monotonic() < end:
            is_active = not title or any(w.get("active") and re.search(title, w.get("title") or "") for w in self.box.windows())
            if is_active and (not control or self.box.find_controls(name=control, states=["showing"])):
                return True
            time.sleep(0.3)
        return False


def main():
    options = arguments(__doc__, needs_task=False)
    with desktop(options) as box:
        tools = box.tools("anthropic")["tools"]
        model = ScriptedModel(box, SCRIPT)
        messages = [{"role": "user", "content": options.task or "write something in three scripts"}]
        for _ in range(options.turns):
            said = model(tools, messages)
            messages.append({"role": "assistant", "content": said["content"]})
            if said["stop_reason"] != "tool_use":
                break
            done = box.say("anthropic", said)
            messages.append(done)
            for result in done["content"]:
                if result.get("is_error"):
                    raise SystemExit(f"it failed: {result['content']}")
        print("".join(block.get("text", "") for block in said["content"]))


main()
