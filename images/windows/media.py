"""What the user's two ISO files hold, found out before anything is started.

7z reads them: a Windows ISO is UDF, with an ISO 9660 part that holds a readme only. Of install.wim the header
and the XML at its end are looked at; the file is streamed once for that and never unpacked. A split install.swm
and an install.esd have the same header and the same XML.

Limits: a listing is cut off at LISTING_MAX bytes, the XML at XML_MAX. Signatures are not checked: Setup does that.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from refused import Refused
from versions import VERSIONS, Version, find

LISTING_MAX, XML_MAX, BLOCK = 64 << 20, 16 << 20, 1 << 20
SECTOR = 2048
WIM_HEADER = 208
ARCHITECTURES = {0: "32-bit x86", 5: "32-bit ARM", 9: "amd64", 12: "arm64"}
INSTALL_FILES = ("sources/install.wim", "sources/install.esd", "sources/install.swm")
SETUP_FILES = ("sources/boot.wim", "efi/boot/bootx64.efi", "efi/microsoft/boot/efisys.bin")

# Folders of a virtio-win ISO, and the file by which each is known. The first is needed to see the disk.
DRIVERS = {"viostor": "viostor.inf", "NetKVM": "netkvm.inf", "vioserial": "vioser.inf", "viogpudo": "viogpudo.inf",
           "vioinput": "vioinput.inf", "Balloon": "balloon.inf", "viorng": "viorng.inf"}
AGENT = "guest-agent/qemu-ga-x86_64.msi"


@dataclass
class Edition:
    index: int
    name: str
    title: str
    edition_id: str
    installation: str
    architecture: int
    build: int
    bytes: int                # when installed
    languages: List[str] = field(default_factory=list)
    language: str = ""

    def answers_to(self, wanted: str) -> bool:
        names = (str(self.index), self.name, self.title, self.edition_id)
        return wanted.casefold() in (name.casefold() for name in names)


class Iso:
    """An ISO file, opened by 7z. Paths of files are kept in lower case."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = os.path.realpath(path), what
        check_is_iso(self.path, what)
        self.files: Dict[str, Tuple[str, int]] = {}
        # A UDF bridge has two directories. The handler that 7z takes first need not be the fuller one.
        for kind in ("udf", "iso"):
            found = self._list(kind)
            if len(found) > len(self.files):
                self.files, self.kind = found, kind
        if not self.files:
            raise Refused(f"{what}: {path} has no files that can be read; is it a whole ISO?")

    def _list(self, kind: str) -> Dict[str, Tuple[str, int]]:
        run = subprocess.run(["7z", "l", "-slt", "-t" + kind, self.path], stdin=subprocess.DEVNULL,
                             capture_output=True, errors="replace")
        _, _, listing = run.stdout[:LISTING_MAX].partition("----------\n")
        files = {}
        for record in listing.split("\n\n"):
            about = dict(line.split(" = ", 1) for line in record.splitlines() if " = " in line)
            if "Path" in about and about.get("Folder") != "+":
                name = about["Path"].replace("\\", "/")
                files[name.lower()] = (about["Path"], int(about.get("Size") or 0))
        return files

    def has(self, name: str) -> bool:
        return name.lower() in self.files

    def open(self, name: str) -> subprocess.Popen:
        """The file's bytes as stdout of a process."""
        path = self.files[name.lower()][0]
        return subprocess.Popen(["7z", "e", "-so", "-t" + self.kind, self.path, path], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def extract(self, folder: str, to: str) -> None:
        """All files right in a folder."""
        paths = [path for name, (path, _) in self.files.items() if os.path.dirname(name) == folder.lower()]
        run = subprocess.run(["7z", "e", "-y", "-t" + self.kind, "-o" + to, self.path, *paths],
                             stdin=subprocess.DEVNULL, capture_output=True, errors="replace")
        if run.returncode != 0:
            raise Refused(f"{self.what}: {folder} cannot be read: {run.stderr.strip()[-300:]}")

    def extract_file(self, name: str, to: str) -> None:
        with self.open(name) as process, open(to, "wb") as file:
            shutil.copyfileobj(process.stdout, file)
        if process.returncode != 0:
            raise Refused(f"{self.what}: {name} cannot be read")


def check_is_iso(path: str, what: str) -> None:
    try:
        with open(path, "rb") as file:
            file.seek(16 * SECTOR)
            descriptors = [file.read(SECTOR)[1:6] for _ in range(16)]
    except OSError as error:
        raise Refused(f"{what}: {path}: {error.strerror}") from None
    if not any(it in (b"CD001", b"BEA01", b"NSR02", b"NSR03") for it in descriptors):
        raise Refused(f"{what}: {path} is no ISO file (neither ISO 9660 nor UDF)")


# --- install.wim ------------------------------------------------------------------------------------------------


def read_wim_xml(iso: Iso, name: str) -> bytes:
    """The XML of a WIM in the ISO: UTF-16, where the header says."""
    with iso.open(name) as process:
        try:
            header = process.stdout.read(WIM_HEADER)
            if len(header) < WIM_HEADER or header[:5] != b"MSWIM":
                raise Refused(f"{iso.what}: {name} is no WIM file")
            # A resource: 7 bytes of size and one of flags, offset, size when unpacked. The XML's is the second.
            size, offset, original = struct.unpack_from("<QQQ", header, 72)
            size &= (1 << 56) - 1
            if size != original or not 0 < size <= XML_MAX or offset < WIM_HEADER:
                raise Refused(f"{iso.what}: {name} has a header that is not understood")
            left = offset - WIM_HEADER
            while left > 0 and (block := process.stdout.read(min(left, BLOCK))):
                left -= len(block)
            xml = process.stdout.read(size)
            if len(xml) < size:
                raise Refused(f"{iso.what}: {name} ends too soon: the ISO is not whole")
            return xml
        finally:
            process.kill()


def parse_editions(xml: bytes, what: str) -> List[Edition]:
    try:
        root = xml_root(xml)
        return [parse_edition(image) for image in root.findall("IMAGE") if image.find("WINDOWS") is not None]
    except (xml_error, ValueError, UnicodeError) as error:
        raise Refused(f"{what}: its list of editions cannot be read: {error}") from None


xml_error = xml.etree.ElementTree.ParseError


def xml_root(data: bytes) -> xml.etree.ElementTree.Element:
    text = data.decode("utf-16")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it has a document type")
    return xml.etree.ElementTree.fromstring(text.lstrip("\ufeff"))


def parse_edition(image: xml.etree.ElementTree.Element) -> Edition:
    windows = image.find("WINDOWS")
    name = image.findtext("NAME") or ""
    return Edition(
        index=int(image.get("INDEX", "0")), name=name, title=image.findtext("DISPLAYNAME") or name,
        edition_id=windows.findtext("EDITIONID") or "", installation=windows.findtext("INSTALLATIONTYPE") or "Client",
        architecture=int(windows.findtext("ARCH") or 0), build=int(windows.findtext("VERSION/BUILD") or 0),
        bytes=int(image.findtext("TOTALBYTES") or 0),
        languages=[it.text or "" for it in windows.findall("LANGUAGES/LANGUAGE")],
        language=windows.findtext("LANGUAGES/DEFAULT") or "")


def choose(editions: List[Edition], wanted: Optional[str], what: str) -> Tuple[Edition, Version]:
    """The edition to install, and the version of Windows that it is one of."""
    there = "; it has: " + ", ".join(f'{it.index} "{it.title or it.edition_id}"' for it in editions)
    if not editions:
        raise Refused(f"{what}: it holds no edition of Windows")
    wrong = [it for it in editions if it.architecture != 9]
    if len(wrong) == len(editions):
        kind = ARCHITECTURES.get(wrong[0].architecture, f"architecture {wrong[0].architecture}")
        raise Refused(f"{what}: this Windows is for {kind}; an amd64 (x64) ISO is needed")
    usable = [it for it in editions if it.architecture == 9 and it.installation in ("Client", "Server")]
    if wanted is None:
        usable = sorted(usable, key=lambda it: rank(it))
    else:
        usable = [it for it in usable if it.answers_to(wanted)]
        if not usable and any(it.answers_to(wanted) for it in editions):
            raise Refused(f'{what}: the edition "{wanted}" has no desktop, or is not for amd64{there}')
    if not usable:
        raise Refused(f'{what}: there is no edition "{wanted}"{there}' if wanted else
                      f"{what}: no edition has a desktop{there}")
    edition = usable[0]
    version = find(edition.build, edition.installation == "Server")
    if not version:
        raise Refused(f"{what}: build {edition.build} ({edition.title}) is none that is known here: "
                      + ", ".join(it.title for it in VERSIONS))
    return edition, version


def rank(edition: Edition) -> Tuple[int, int]:
    version = find(edition.build, edition.installation == "Server")
    order = version.editions if version else ()
    known = edition.edition_id in order
    return (order.index(edition.edition_id) if known else len(order), edition.index)


def read_windows(path: str, wanted: Optional[str]) -> Tuple[Iso, Edition, Version, bytes]:
    """Checks a Windows ISO. The bytes are the XML: they name the ISO's content."""
    iso = Iso(path, "--iso")
    install = next((name for name in INSTALL_FILES if iso.has(name)), None)
    lacks = [name for name in SETUP_FILES if not iso.has(name)] + ([] if install else ["sources/install.wim"])
    if lacks:
        raise Refused(f"--iso: {path} is no Windows installation ISO: it lacks {', '.join(lacks)}")
    xml = read_wim_xml(iso, install)
    edition, version = choose(parse_editions(xml, "--iso"), wanted, "--iso")
    return iso, edition, version, xml


# --- virtio-win -------------------------------------------------------------------------------------------------


def read_virtio(path: str, version: Version, wants_agent: bool) -> Iso:
    """Checks a virtio-win ISO for what that version of Windows needs."""
    iso = Iso(path, "--virtio-win")
    if not any(name.startswith("viostor/") for name in iso.files):
        raise Refused(f"--virtio-win: {path} is no virtio-win ISO: it has no folder viostor")
    lacks = [f"{driver}/{version.drivers}/amd64" for driver, inf in DRIVERS.items()
             if not iso.has(f"{driver}/{version.drivers}/amd64/{inf}")]
    if lacks:
        has = sorted({name.split("/")[1] for name in iso.files if re.match(r"viostor/[^/]+/amd64/", name)})
        raise Refused(f"--virtio-win: no drivers for {version.title}: {', '.join(lacks)} are missing "
                      f"(it is for {', '.join(has)}); take a newer virtio-win.iso")
    if wants_agent and not iso.has(AGENT):
        raise Refused(f"--virtio-win: {AGENT} is missing")
    return iso
