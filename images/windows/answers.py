"""The answer file, and the ISO that carries it: what Windows' own Setup asks for, told in advance.

The medium, which Setup searches for autounattend.xml and first-logon.ps1 finds by its files:

    autounattend.xml            rendered of the template of that name
    deskfarm/*.ps1              what runs at the first and at the second logon
    deskfarm/settings.json      what those need to know
    deskfarm/qemu-ga.msi        the QEMU guest agent
    drivers/setup/viostor/      loaded by Setup, to see the disk
    drivers/more/…/             installed at the first logon; a display driver disturbs Setup

Values come from the user, so each is checked for what Windows takes and escaped for XML.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Dict, Set
from xml.sax.saxutils import escape

from media import AGENT, DRIVERS, Edition, Iso
from refused import Refused
from versions import Version

HERE = os.path.dirname(os.path.abspath(__file__))
LABEL = "DESKFARM"
COMPONENT = ('processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" '
             'versionScope="nonSxS"')
SCRIPTS = ("first-logon.ps1", "second-logon.ps1", "common.ps1")


# --- What Windows takes ------------------------------------------------------------------------------------------


def check_settings(settings: Dict[str, str], version: Version, edition: Edition) -> None:
    check(settings["user"], r'[^"/\\\[\]:;|=,+*?<>@\x00-\x1f%]{1,20}', "--user",
          'at most 20 characters, none of "/\\[]:;|=,+*?<>@%')
    if settings["user"].strip(" .") != settings["user"]:
        raise Refused("--user: no space or dot at the beginning or end")
    if settings["user"].casefold() in ("administrator", "guest", "defaultaccount", settings["computer"].casefold()):
        raise Refused(f'--user: Windows has "{settings["user"]}" already; take another name')
    check(settings["password"], r"[^\x00-\x1f]{1,127}", "--password", "1 to 127 characters on one line")
    if version.is_server and not is_complex(settings["password"]):
        raise Refused("--password: Windows Server wants 6 characters or more of three kinds: upper case, lower case, "
                      "digits, others")
    check(settings["computer"], r"(?!\d+$)[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?", "--computer-name",
          "at most 15 letters, digits and dashes, not only digits")
    check(settings["timezone"], r"[A-Za-z0-9 .()+:_-]{1,64}", "--time-zone",
          'a name that Windows knows, such as "UTC" or "W. Europe Standard Time"')
    check(settings["keyboard"], r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{8}|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", "--keyboard",
          'a language such as "de-DE" or "0407:00000407"')
    if settings["key"]:
        check(settings["key"], r"([A-Za-z0-9]{5}-){4}[A-Za-z0-9]{5}", "--key", "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX")
    if settings["language"] not in edition.languages:
        raise Refused(f'--language: this ISO has {", ".join(edition.languages)}, not "{settings["language"]}"')


def check(value: str, pattern: str, option: str, wanted: str) -> None:
    if not re.fullmatch(pattern, value):
        raise Refused(f'{option}: "{value}" is not taken: {wanted}')


def is_complex(password: str) -> bool:
    kinds = (r"[A-Z]", r"[a-z]", r"[0-9]", r"[^A-Za-z0-9]")
    return len(password) >= 6 and sum(bool(re.search(kind, password)) for kind in kinds) >= 3


# --- The answer file ---------------------------------------------------------------------------------------------


def render(version: Version, edition: Edition, settings: Dict[str, str]) -> str:
    with open(os.path.join(HERE, "autounattend.xml"), encoding="utf-8") as file:
        template = file.read()
    applies = {"server" if version.is_server else "client"} | ({"key"} if settings["key"] else set())
    values = {**{name: escape(value) for name, value in settings.items()}, "component": COMPONENT,
              "index": str(edition.index)}
    head, _, body = template.partition("-->\n")
    text = head.partition("<!--")[0] + keep_only(body, applies)
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def keep_only(text: str, applies: Set[str]) -> str:
    lines, is_kept = [], True
    for line in text.splitlines(keepends=True):
        only = re.fullmatch(r"<!-- (?:only: (\w+)|end) -->", line.strip())
        if only:
            is_kept = only[1] is None or only[1] in applies
        elif is_kept:
            lines.append(line)
    return "".join(lines)


# --- The medium --------------------------------------------------------------------------------------------------


def make_medium(path: str, work: str, answer: str, virtio: Iso, version: Version, settings: Dict[str, object]) -> None:
    tree = os.path.join(work, "answers")
    own = os.path.join(tree, "deskfarm")
    os.makedirs(own)
    # Windows reads UTF-8 in the first by its declaration, in PowerShell's scripts by their mark.
    write(os.path.join(tree, "autounattend.xml"), answer)
    write(os.path.join(own, "settings.json"), json.dumps(settings, indent=1))
    for name in SCRIPTS:
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            write(os.path.join(own, name), "\ufeff" + file.read().replace("\n", "\r\n"))
    for driver in DRIVERS:
        to = os.path.join(tree, "drivers", "setup" if driver == "viostor" else "more", driver)
        virtio.extract(f"{driver}/{version.drivers}/amd64", to)
    if settings["agent"]:
        virtio.extract_file(AGENT, os.path.join(own, "qemu-ga.msi"))
    run = subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-J", "-joliet-long", "-r", "-V",
                          LABEL, "-o", path, tree], stdin=subprocess.DEVNULL, capture_output=True, errors="replace")
    if run.returncode != 0:
        raise Refused(f"writing the answer medium: {run.stderr.strip()[-300:]}")
    shutil.rmtree(tree)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
