"""A deskfarmd of the build's own, and the one machine that runs in it.

The daemon has its state and its images in the build's directory, a free port, and a key, so nobody else reaches
what is being installed. It ends its guests when it ends, and it gets SIGTERM when this program is gone, however
that went.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../sdk/python"))

from deskfarm import Deskfarm, DeskfarmError  # noqa: E402
from refused import Refused  # noqa: E402

START_S, STOP_S, CONSOLE_S = 30, 30, 30
LINE_MAX = 4096
ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|[\x00-\x1f]") # of the firmware's terminal


def find_program() -> str:
    """deskfarmd: of the build directory that DESKFARM_BUILD names, or installed."""
    build = os.environ.get("DESKFARM_BUILD")
    program = os.path.join(build, "daemon/deskfarmd") if build else shutil.which("deskfarmd")
    if not program or not os.access(program, os.X_OK):
        raise Refused("deskfarmd is not there: install it, or let DESKFARM_BUILD name the directory it was built in")
    return program


class Farm:
    def __init__(self, work: str) -> None:
        self.images = os.path.join(work, "c/images")
        self.state = os.path.join(work, "s")
        self.log_path = os.path.join(work, "deskfarmd.log")
        os.makedirs(self.images)
        self.process: Optional[subprocess.Popen] = None

    def start(self) -> None:
        command = ["setpriv", "--pdeathsig", "TERM", find_program(), "--port", "0", "--state-dir", self.state,
                   "--cache-dir", os.path.dirname(self.images), "--stop-guests", "--boot", "cold", "--no-recording",
                   "--log-level", "info"]
        # A session of its own: Ctrl-C is for us to hear, the daemon hears of it from us. It holds the build's lock,
        # which we inherited, as long as it lives.
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            start_new_session=True, close_fds=False)
        said = self.process.stdout.readline()
        if not said:
            raise Refused(f"deskfarmd does not start: {self.last_log()}")
        self.api = Deskfarm(f"http://127.0.0.1:{json.loads(said)['port']}")
        self.api.key = self.api.call("POST", "/v1/keys", {"name": "build", "role": "admin"})["key"]
        self.has_kvm = self.api.call("GET", "/v1/info").get("accel") == "kvm"

    def last_log(self) -> str:
        with open(self.log_path, errors="replace") as log:
            return log.read()[-600:].strip()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def add_image(self, name: str, manifest: Dict[str, Any], files: Dict[str, str]) -> None:
        """An image for this daemon alone. Files are linked; copied from another file system, and when QEMU, which runs
        as a user of its own, could not read them."""
        path = os.path.join(self.images, name + "-build")
        os.makedirs(path)
        for file, source in files.items():
            to = os.path.join(path, file)
            try:
                if not os.stat(source).st_mode & 0o004:
                    raise PermissionError
                os.link(source, to)
            except OSError:
                subprocess.run(["cp", "--reflink=auto", source, to], check=True)
                os.chmod(to, 0o444)
        with open(os.path.join(path, "image.json"), "w", encoding="utf-8") as file:
            json.dump({"name": name, "hash": "build", **manifest}, file, indent=2)
        os.symlink(name + "-build", os.path.join(self.images, name))


class Machine:
    """The sandbox, with what its serial port says as lines."""

    def __init__(self, farm: Farm, image: str, **options: Any) -> None:
        self.farm = farm
        self.id = farm.api.create(image, timeout=None, **options).id
        self.path = f"/v1/sandboxes/{self.id}"
        self.console: Optional[socket.socket] = None
        self.rest, self.last_line = b"", ""
        self.connect_console()

    @property
    def directory(self) -> str:
        return os.path.join(self.farm.state, "sandboxes", self.id)

    def connect_console(self) -> None:
        deadline = time.monotonic() + CONSOLE_S
        while not self.console:
            self.status()
            console = socket.socket(socket.AF_UNIX)
            try:
                # By its directory: a socket's path may have 107 bytes only.
                directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    console.connect(f"/proc/self/fd/{directory}/console.sock")
                finally:
                    os.close(directory)
                self.console = console
            except OSError as error:
                console.close()
                if time.monotonic() > deadline:
                    raise Refused(f"the machine's serial port cannot be reached: {error}") from None
                time.sleep(0.1)
        self.console.setblocking(False)

    def read_lines(self, seconds: float) -> List[str]:
        """What the serial port says within so long; returns at once when something comes."""
        if not self.console:
            time.sleep(seconds)
            return []
        with selectors.DefaultSelector() as selector:
            selector.register(self.console, selectors.EVENT_READ)
            if not selector.select(seconds):
                return []
        try:
            data = self.console.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.console.close()
            self.console = None
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.rest = self.rest[-LINE_MAX:]
        texts = [self.clean(line) for line in lines]
        self.last_line = next((text for text in reversed(texts) if text), self.last_line)
        return texts

    @staticmethod
    def clean(line: bytes) -> str:
        return ESCAPES.sub("", line.decode("utf-8", "replace")).strip()

    def unfinished_line(self) -> str:
        return self.clean(self.rest)

    def status(self) -> Dict[str, Any]:
        """Its state, with what else sandbox_get tells. A death is an error."""
        about = self.farm.api.call("GET", self.path)
        status = about["status"]
        if status["state"] == "Failed":
            raise Refused(f"the machine died: {status.get('message') or status.get('reason')}")
        return about

    def words(self) -> List[str]:
        """The lines on the screen, as far as they can be read."""
        answer = self.ask("/desktop/find", {})
        return [match["text"] for match in answer["matches"]] if answer else []

    def press(self, key: str) -> None:
        self.ask("/desktop/actions", {"actions": [{"type": "key", "keys": key}], "settle": False, "screenshot": False})

    def ask(self, path: str, body: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """None while there is no screen, or when the machine has just ended."""
        try:
            return self.farm.api.call("POST", self.path + path, body)
        except DeskfarmError as error:
            if error.code in ("not_ready", "guest_gone", "conflict", "timeout", "cancelled"):
                time.sleep(0.1)
                return None
            raise

    def save_screenshot(self, path: str) -> None:
        picture = self.farm.api.call("GET", self.path + "/desktop/screenshot", accept="image/*")
        with open(path, "wb") as file:
            file.write(picture)

    def layers(self) -> List[str]:
        """Its disk's layers above the image's, the oldest first."""
        return sorted((os.path.join(self.directory, name) for name in os.listdir(self.directory)
                       if name.endswith(".qcow2")), key=os.path.getmtime)
