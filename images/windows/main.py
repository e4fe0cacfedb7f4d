"""main.py plan OPTION…           checks everything that can be checked before, and says what would be built
main.py answer OPTION…         prints the answer file
main.py build WORK OUT HASH PICTURE    builds the plan on stdin: WORK is scratch and gets image.json with HASH, OUT
                               gets disk.qcow2, PICTURE a screenshot if it fails

plan prints three lines: the image's name, a hash of everything that goes into it beside the recipe, and the plan as
JSON. images/build runs all this; README.md says what happens.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, List

import answers
import media
import stages
from machine import DeskfarmError, Farm, Machine
from refused import Refused

USAGE = "images/build windows --iso WINDOWS.iso --virtio-win VIRTIO-WIN.iso [OPTION…]"
TCG_FACTOR = 15 # limits of stages without KVM
SETTLE_MS = 30000 # a desktop that has just been drawn loads for a while
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GIB, MIB = 1 << 30, 1 << 20


def parse(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="images/build windows", usage=USAGE, allow_abbrev=False)
    add = parser.add_argument
    add("--iso", metavar="FILE", help="the Windows installation ISO")
    add("--virtio-win", metavar="FILE", help="virtio-win.iso: drivers and guest agent")
    add("--edition", metavar="NAME", help="index, name or id of the edition (the first known one with a desktop)")
    add("--language", metavar="TAG", help="a language of the ISO, such as de-DE (its default)")
    add("--keyboard", metavar="TAG", default="en-US", help="layout: a language, or 0407:00000407 (%(default)s)")
    add("--time-zone", metavar="NAME", default="UTC", help="as Windows calls it (%(default)s)")
    add("--key", metavar="KEY", help="product key; an evaluation ISO needs none")
    add("--user", metavar="NAME", default="user", help="the account that is logged on (%(default)s)")
    add("--password", metavar="TEXT", default="Deskfarm-1", help="its password, also the Administrator's (%(default)s)")
    add("--computer-name", metavar="NAME", default="DESKFARM", help="(%(default)s)")
    add("--width", metavar="N", type=number(800, 8192), default=1280, help="of the screen (%(default)s)")
    add("--height", metavar="N", type=number(600, 8192), default=800, help="(%(default)s)")
    add("--disk-gib", metavar="N", type=number(20, 2048), default=64, help="(%(default)s)")
    add("--cpus", metavar="N", type=number(1, 64), default=4, help="(%(default)s)")
    add("--memory-mib", metavar="N", type=number(2048, 1 << 20), default=4096, help="(%(default)s)")
    add("--display", choices=("vga", "virtio"), default="vga",
        help="vga: firm size, works everywhere; virtio: by its driver, can be resized (%(default)s)")
    add("--firmware", choices=("secure", "uefi"), default="secure", help="with Secure Boot, or without (%(default)s)")
    add("--no-tpm", action="store_true", help="a machine without TPM 2.0; not for Windows 11")
    add("--no-agent", action="store_true", help="without the QEMU guest agent: screen, keyboard and mouse alone")
    add("--as", dest="name", metavar="NAME", help="the image's name (such as windows-11, by the version)")
    add("--limit", metavar="STAGE=MINUTES", action="append", default=[], type=limit,
        help="another limit for a stage: " + ", ".join(stages.STAGE_NAMES))
    add("--print-answer", action="store_true", help="print the answer file and build nothing")
    return parser.parse_args(arguments)


def number(low: int, high: int):
    def parse_number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is no number from {low} to {high}")
        return int(text)
    return parse_number


def limit(text: str) -> List[Any]:
    name, _, minutes = text.partition("=")
    try:
        if name in stages.STAGE_NAMES and 0 < float(minutes) < 1e6:
            return [name, float(minutes)]
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is no STAGE=MINUTES; stages: {', '.join(stages.STAGE_NAMES)}")


# --- The plan ----------------------------------------------------------------------------------------------------


class Plan:
    """What is built of what. Everything the user gave has been checked when there is one."""

    def __init__(self, options: argparse.Namespace) -> None:
        if not options.iso or not options.virtio_win:
            raise Refused(f"give both ISO files: {USAGE}\n(docs/windows.md says where they come from)")
        self.options = options
        self.iso, self.edition, self.version, self.wim_xml = media.read_windows(options.iso, options.edition)
        if self.version.needs_tpm and (options.no_tpm or options.firmware != "secure"):
            raise Refused(f"{self.version.title} needs TPM 2.0 and Secure Boot: leave --no-tpm and --firmware away")
        self.virtio = media.read_virtio(options.virtio_win, self.version, not options.no_agent)
        self.settings = {
            "language": options.language or self.edition.language, "keyboard": options.keyboard,
            "timezone": options.time_zone, "key": options.key or "", "user": options.user,
            "password": options.password, "computer": options.computer_name}
        answers.check_settings(self.settings, self.version, self.edition)
        self.name = options.name or self.version.name
        answers.check(self.name, r"[a-z0-9][a-z0-9-]{0,40}", "--as", "small letters, digits and dashes")
        if os.path.exists(os.path.join(answers.HERE, "..", self.name, "recipe.sh")):
            raise Refused(f'--as: "{self.name}" is the name of a recipe')
        self.answer = answers.render(self.version, self.edition, self.settings)

    def identity(self) -> str:
        """Of what goes in, not of where it lies."""
        options = {name: value for name, value in vars(self.options).items()
                   if name not in ("iso", "virtio_win", "limit", "print_answer")}
        drivers = sorted((name, size) for name, (_, size) in self.virtio.files.items())
        parts = (self.wim_xml.hex(), os.path.getsize(self.iso.path), drivers, os.path.getsize(self.virtio.path), options)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def description(self) -> str:
        return f"{self.edition.title}, build {self.edition.build}, {self.settings['language']}"

    def needed_mib(self) -> int:
        """The disk while it is written and its sealed copy, and the ISO where it cannot be linked."""
        return int(2 * 1.25 * self.edition.bytes + os.path.getsize(self.iso.path)) // MIB + 1024

    def print(self) -> None:
        if not self.settings["key"] and "eval" not in self.edition.edition_id.lower():
            print(f"{self.name}: {self.edition.title} is no evaluation: if Setup asks for a key, give one with --key",
                  file=sys.stderr)
        print(self.name)
        print(self.identity())
        print(json.dumps({"options": vars(self.options), "description": self.description(),
                          "need_mib": self.needed_mib()}))

    # --- Machines --------------------------------------------------------------------------------------------------

    def manifest(self, **parts: Any) -> Dict[str, Any]:
        options = self.options
        return {
            "profile": "windows", "firmware": options.firmware, "tpm": not options.no_tpm, "disk_bus": "virtio",
            "network_card": "virtio", "disk_bytes": options.disk_gib * GIB, "cpus": options.cpus,
            "memory_mib": options.memory_mib, "width": options.width, "height": options.height,
            "agent": "none" if options.no_agent else "qemu", **parts}

    def script_settings(self) -> Dict[str, Any]:
        return {"user": self.settings["user"], "password": self.settings["password"], "width": self.options.width,
                "height": self.options.height, "agent": not self.options.no_agent}


# --- Building ----------------------------------------------------------------------------------------------------


class Build:
    def __init__(self, plan: Plan, work: str, out: str, hash_text: str, picture: str) -> None:
        self.plan, self.work, self.out, self.hash = plan, work, out, hash_text
        self.farm = Farm(work)
        self.picture = picture

    def run(self) -> None:
        plan = self.plan
        try:
            self.farm.start()
            factor = 1 if self.farm.has_kvm else TCG_FACTOR
            self.follower = stages.Follower(self.tell, self.picture, factor, dict(plan.options.limit),
                                            not plan.options.no_agent)
            self.tell(f"{plan.name}: {plan.description()} from {plan.iso.path}")
            if factor > 1:
                self.tell(f"no KVM on this host: it takes many hours, limits are {factor} times as long")
            first = self.install()
            second = self.start_again(first)
            self.seal(first, second)
        finally:
            self.farm.stop()

    @staticmethod
    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def install(self) -> str:
        plan, answer_iso = self.plan, os.path.join(self.work, "answers.iso")
        answers.make_medium(answer_iso, self.work, plan.answer, plan.virtio, plan.version, plan.script_settings())
        self.farm.add_image("install", plan.manifest(display="vga", agent="none", media=["windows.iso", "answers.iso"]),
                            {"windows.iso": plan.iso.path, "answers.iso": answer_iso})
        # Nothing is fetched while Windows is set up, and no account of Microsoft's is asked for.
        machine = Machine(self.farm, "install", network="none")
        self.follower.follow(machine, stages.INSTALL)
        return self.disk_of(machine)

    def start_again(self, disk: str) -> str:
        self.farm.add_image("second", self.plan.manifest(display=self.plan.options.display, disk="disk.qcow2"),
                            {"disk.qcow2": disk})
        machine = Machine(self.farm, "second")
        self.follower.follow(machine, stages.SECOND)
        return self.disk_of(machine)

    @staticmethod
    def disk_of(machine: Machine) -> str:
        layers = machine.layers()
        if len(layers) != 1:
            raise Refused(f"the machine has left {len(layers)} disk layers instead of one")
        os.chmod(layers[0], 0o444)
        return layers[0]

    def seal(self, first: str, second: str) -> None:
        self.follower.begin(stages.SEAL)
        layer = {"driver": "qcow2", "file": {"driver": "file", "filename": second},
                 "backing": {"driver": "qcow2", "file": {"driver": "file", "filename": first}}}
        run = subprocess.run(["qemu-img", "convert", "-O", "qcow2", "json:" + json.dumps(layer),
                              os.path.join(self.out, "disk.qcow2")], capture_output=True, errors="replace")
        if run.returncode != 0:
            raise Refused(f"qemu-img: {run.stderr.strip()}")
        manifest = self.plan.manifest(display=self.plan.options.display, disk="disk.qcow2", settle_ms=SETTLE_MS)
        with open(os.path.join(self.work, "image.json"), "w", encoding="utf-8") as file:
            json.dump({"name": self.plan.name, "hash": self.hash, **manifest, "description": self.plan.description(),
                       "built_at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")},
                      file, indent=2)
            file.write("\n")


class Interrupted(Exception):
    pass


def interrupt(number: int, _: Any) -> None:
    """Once: what follows is cleaning up."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


def run(verb: str, rest: List[str]) -> None:
    if verb == "build":
        work, out, hash_text, picture = rest
        options = argparse.Namespace(**json.load(sys.stdin)["options"])
        Build(Plan(options), work, out, hash_text, picture).run()
    elif verb == "answer":
        print(Plan(parse(rest)).answer, end="")
    else:
        Plan(parse(rest)).print()


def main(verb: str, *rest: str) -> int:
    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        run(verb, list(rest))
        return 0
    except (Refused, Interrupted, DeskfarmError, OSError) as error:
        print(f"images/build windows: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
