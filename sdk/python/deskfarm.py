"""A client of deskfarm's API: one file, nothing but the standard library, Python 3.9 or later.

    farm = Deskfarm()                                  # or Deskfarm("https://farm.example", key="…")
    with farm.create("debian-xfce") as desktop:
        desktop.wait_up()
        seen = desktop.act({"type": "click", "x": 568, "y": 777}, {"type": "type", "text": "hello"})
        open("after.png", "wb").write(seen.image)
        answer = desktop.say("anthropic", message)     # what a model said, in its own language

Errors of the API are DeskfarmError with its stable code. Methods block; a client may be used by several threads.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

Json = Dict[str, Any]


class DeskfarmError(Exception):
    """What the API answered instead: a stable code, the HTTP status, and the whole answer."""

    def __init__(self, status: int, code: str, message: str, body: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.body = status, code, body


@dataclass
class Seen:
    """What a batch of actions came to: the settled screen, and the rest of the answer."""

    image: bytes
    image_id: Optional[str]
    settle: Json
    results: List[Json]
    body: Json


class Deskfarm:
    """A daemon. Its address and key come from DESKFARM_URL and DESKFARM_KEY unless they are given."""

    def __init__(self, url: Optional[str] = None, key: Optional[str] = None, timeout_s: float = 330) -> None:
        self.url = (url or os.environ.get("DESKFARM_URL") or "http://127.0.0.1:7070").rstrip("/")
        self.key = key or os.environ.get("DESKFARM_KEY")
        self.timeout_s = timeout_s

    def call(self, method: str, path: str, body: Any = None, query: Optional[Json] = None,
             accept: str = "application/json") -> Any:
        """One request: parsed JSON, or bytes when the answer is something else; None without a body."""
        asked = {k: str(v).lower() if isinstance(v, bool) else v for k, v in (query or {}).items() if v is not None}
        url = self.url + path + ("?" + urllib.parse.urlencode(asked) if asked else "")
        headers = {"Accept": accept}
        if self.key:
            headers["Authorization"] = "Bearer " + self.key
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                return _read(answer.headers.get_content_type(), answer.read())
        except urllib.error.HTTPError as error:
            told = _read(error.headers.get_content_type(), error.read())
            told = told if isinstance(told, dict) else {"message": str(told)}
            raise DeskfarmError(error.code, told.get("code", "http"), told.get("message", ""), told) from None

    def create(self, image: str, timeout: int = 3600, **options: Any) -> "Sandbox":
        """A new sandbox; options are further fields of sandbox_create."""
        body = {"image": {"uri": image}, "timeout": timeout, **options}
        return Sandbox(self, self.call("POST", "/v1/sandboxes", body)["id"])

    def sandbox(self, sandbox_id: str) -> "Sandbox":
        """One that is there already."""
        return Sandbox(self, sandbox_id)

    def sandboxes(self) -> List[Json]:
        return self.call("GET", "/v1/sandboxes")["items"]


class Sandbox:
    """A desktop. As a context manager it is deleted at the end."""

    def __init__(self, farm: Deskfarm, sandbox_id: str) -> None:
        self.farm, self.id = farm, sandbox_id
        self.path = "/v1/sandboxes/" + urllib.parse.quote(sandbox_id, safe="")

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: Any) -> None:
        self.delete()

    def get(self) -> Json:
        return self.farm.call("GET", self.path)

    def delete(self) -> None:
        self.farm.call("DELETE", self.path)

    def wait(self, what: str = "settled", max_ms: int = 60000, **options: Any) -> Json:
        """Waits for "up", "settled" or "change"."""
        return self.farm.call("POST", self.path + "/desktop/wait", {"for": what, "max_ms": max_ms, **options})

    def wait_up(self, max_ms: int = 300000) -> Json:
        return self.wait("up", max_ms)

    def act(self, *actions: Json, **options: Any) -> Seen:
        """Does the actions in order and returns the settled screen; options are further fields of desktop_actions."""
        body = self.farm.call("POST", self.path + "/desktop/actions", {"actions": list(actions), **options})
        image = body.get("image") or {}
        return Seen(base64.b64decode(image.pop("data", "")), image.get("id"), body.get("settle") or {},
                    body.get("results") or [], body)

    def screenshot(self, **query: Any) -> bytes:
        return self.farm.call("GET", self.path + "/desktop/screenshot", query=query, accept="image/*")

    def tools(self, dialect: str, **query: Any) -> Json:
        """What to declare to a model: {"tools": […], "image": {"width", "height"}}."""
        return self.farm.call("GET", f"{self.path}/desktop/dialects/{dialect}", query=query)

    def say(self, dialect: str, said: Any, **query: Any) -> Any:
        """Does what a model said ("anthropic", "openai", "gemini", "ui_tars", "osworld") and returns what its API
        wants to be sent next."""
        return self.farm.call("POST", f"{self.path}/desktop/dialects/{dialect}", said, query)

    def windows(self) -> List[Json]:
        """What is open in the desktop: id, title, class, active and more."""
        return self.farm.call("GET", self.path + "/desktop/windows")["items"]

    def find_controls(self, **wanted: Any) -> List[Json]:
        """Nodes of the accessibility tree by role, name, app, states: id, bounds and more."""
        return self.farm.call("POST", self.path + "/desktop/a11y/find", wanted)["items"]

    def set_layout(self, layout: str, variant: str = "", apply: bool = True) -> Json:
        """The keyboard's layout; with apply also the guest's own. Texts arrive whatever it is."""
        body = {"layout": layout, "apply": True, **({"variant": variant} if variant else {})} if apply else {
            "layout": f"{layout}({variant})" if variant else layout}
        return self.farm.call("PUT", self.path + "/desktop/keyboard", body)

    def read(self, path: str) -> bytes:
        """A file of the guest."""
        return self.farm.call("GET", self.path + "/proxy/44772/files/download", query={"path": path}, accept="*/*")

    def exec(self, command: str, **options: Any) -> Json:
        """Runs a command by a shell in the guest: {"exitCode", "result"}."""
        path = f"/daytona/toolbox/{self.id}/process/execute"
        return self.farm.call("POST", path, {"command": command, **options})

    def fork(self, **options: Any) -> Json:
        return self.farm.call("POST", self.path + "/fork", options)


def _read(content_type: str, data: bytes) -> Any:
    if not data:
        return None
    return json.loads(data) if content_type == "application/json" else data
