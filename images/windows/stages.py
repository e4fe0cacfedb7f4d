"""The installation as a person follows it: a table of stages, each with a limit, and what is told of them.

Windows is heard on the first serial port, where the answer file and our scripts write "deskfarm WORD …". That works
in every language of Windows. The firmware's console is there too, and with it "Press any key to boot from CD or DVD",
which says DVD in every language and is read wrong on the screen, in the firmware's letters.

The screen is read for what a person should know: what it shows now, and pages on which Setup waits for an answer that
it should have had. Those are known by their English text only; in other languages the stage's limit ends such a page.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

from machine import DeskfarmError, Machine
from refused import Refused


@dataclass(frozen=True)
class Stage:
    name: str
    text: str           # what happens
    minutes: float      # its limit on a host with KVM
    expected: str       # what ends it, for people
    word: str = ""      # the serial port's word that ends it; "": see Follower.is_over


INSTALL = (
    Stage("firmware", "the firmware starts the Windows ISO", 3,
          '"Press any key to boot from CD or DVD" on the console of the firmware'),
    Stage("setup", "Windows Setup copies Windows to the disk", 60,
          'the word "specialize" on the serial port, after the first restart', "specialize"),
    Stage("devices", "Windows sets up its devices and the account", 40,
          'the word "logon" on the serial port, at the first logon', "logon"),
    Stage("logon", "drivers, guest agent and settings", 45, 'the word "done" on the serial port', "done"),
    Stage("off", "Windows shuts down", 10, "the machine switches itself off"),
)
SECOND = (
    Stage("second", "Windows starts with the devices that it keeps", 30,
          'the word "ready" on the serial port, and an answer of the guest agent', "ready"),
    Stage("second-off", "Windows shuts down", 15, "the machine switches itself off"),
)
SEAL = "sealing the image"
STAGE_NAMES = [stage.name for stage in INSTALL + SECOND]

# In the order in which they are said: a later one implies those before it.
WORDS = ("setup", "specialize", "logon", "done")
SECOND_WORDS = ("second", "ready")
TOLD = {"setup": "Windows Setup runs and has read the answer file", "specialize": "Windows is copied and has restarted",
        "logon": "logged on for the first time", "second": "logged on"}

TROUBLES = (
    ("language to install", "Setup asks its first question: it did not find the answer file"),
    ("product key", "Setup asks for a product key: give one with --key, or take an evaluation ISO"),
    ("where do you want to install", "Setup asks where to install: it does not see the disk, or cannot use it"),
    ("media driver your computer needs", "Setup does not see its own medium"),
    ("can't run windows 11", "Setup finds this machine too small, or without TPM 2.0 or Secure Boot"),
    ("unattend answer file", "Setup does not take the answer file"),
    ("windows could not", "Setup failed"),
    ("windows cannot", "Setup failed"),
    ("installation has failed", "Setup failed"),
    ("ran into a problem and needs to restart", "Windows crashed"),
    ("automatic repair", "Windows does not start and tries to repair itself"),
)
PROMPT = re.compile(r"[^.\n]*DVD[^.\n]*\.\.") # in any language it goes on with dots; the firmware names a DVD-ROM before that
GIVEN_UP = re.compile(r"UEFI Interactive Shell|No bootable option")
PROMPT_KEY, PROMPT_PRESSES = "a", 5 # bootmgr opens a menu at Space
LOOK_S, TELL_S, SLICE_S = 5, 20, 1
SHOWN_CHARS = 110


def squash(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()


class Follower:
    """Goes through stages on one machine after the other."""

    def __init__(self, tell: Callable[[str], None], picture: str, factor: float, limits: Dict[str, float],
                 wants_agent: bool) -> None:
        self.tell_line, self.picture, self.factor, self.limits = tell, picture, factor, limits
        self.wants_agent = wants_agent
        self.total, self.number = len(INSTALL) + len(SECOND) + 1, 0
        self.began = time.monotonic()

    def tell(self, text: str, number: Optional[int] = None) -> None:
        seconds = int(time.monotonic() - self.began)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        self.tell_line(f"{f'[{number}/{self.total}]' if number else '     '} {clock} {text}")

    def begin(self, text: str) -> None:
        self.number += 1
        self.tell(text, self.number)

    def limit_s(self, stage: Stage) -> float:
        given = self.limits.get(stage.name)
        return 60 * (given if given is not None else stage.minutes * self.factor)

    def follow(self, machine: Machine, stages: Tuple[Stage, ...]) -> None:
        self.machine = machine
        self.heard: List[str] = []
        self.agent_answered = self.is_off = False
        self.shown: List[str] = []
        self.suspect, self.next_look, self.next_tell = "", 0.0, 0.0
        try:
            for stage in stages:
                self.begin(f"{stage.text} (at most {self.limit_s(stage) / 60:g} min)")
                self.run(stage)
        except Refused as error:
            raise Refused(f"{error}\n{self.describe()}") from None

    def run(self, stage: Stage) -> None:
        deadline = time.monotonic() + self.limit_s(stage)
        while True:
            self.hear(SLICE_S)
            self.look_after(stage)
            if stage.name == "firmware" and self.answer_prompt() or self.is_over(stage):
                return
            if time.monotonic() > deadline:
                raise Refused(f"stage {stage.name} ({stage.text}) took longer than {self.limit_s(stage) / 60:g} min\n"
                              f"  expected: {stage.expected}\n"
                              f"  another limit: --limit {stage.name}=MINUTES")
            if stage.name != "firmware": # where nothing may hold up the key
                self.look()

    def is_over(self, stage: Stage) -> bool:
        if stage.name == "firmware":
            return bool(self.heard)
        if not stage.word:
            return self.is_off
        words = SECOND_WORDS if stage.word in SECOND_WORDS else WORDS
        later = words[words.index(stage.word):]
        return any(word in self.heard for word in later) and (
            stage.name != "second" or self.agent_answered or not self.wants_agent)

    # --- What comes in --------------------------------------------------------------------------------------------

    def hear(self, seconds: float) -> None:
        for line in self.machine.read_lines(seconds):
            if GIVEN_UP.search(line):
                raise Refused("the firmware found nothing to start from, or no key came within the prompt's five seconds")
            said = re.search(r"deskfarm (\w+)\s*(.*)", line)
            if not said:
                continue
            word, rest = said[1], said[2]
            if word == "failed":
                raise Refused(f"in Windows: {rest}")
            if word in TOLD and word not in self.heard:
                self.tell(TOLD[word])
            elif word not in WORDS + SECOND_WORDS:
                self.tell(f"{word} {rest}")
            self.heard.append(word)

    def look_after(self, stage: Stage) -> None:
        about = self.machine.status()
        self.agent_answered |= about.get("agent") == "ready"
        self.is_off = about["status"]["state"] == "Terminated"
        if not self.is_off or stage.name.endswith("off"):
            return
        self.hear(SLICE_S) # its last words
        if not self.is_over(stage):
            without = " before the guest agent answered" if "ready" in self.heard else ""
            raise Refused(f"the machine switched itself off in stage {stage.name} ({stage.text}){without}\n"
                          f"  expected: {stage.expected}")

    def answer_prompt(self) -> bool:
        """Whether the prompt is there. It has no end of line, and lasts five seconds."""
        prompt = PROMPT.search(self.machine.unfinished_line())
        if not prompt:
            return False
        self.tell(f'"{prompt[0].strip()}": pressing a key')
        for _ in range(PROMPT_PRESSES):
            self.machine.press(PROMPT_KEY)
            self.hear(SLICE_S)
        return True

    def look(self) -> None:
        """Reads the screen now and then: for what to tell, and for a page on which Setup would wait for ever."""
        now = time.monotonic()
        if now < self.next_look:
            return
        words = self.machine.words()
        self.next_look = time.monotonic() + LOOK_S
        seen = squash(" ".join(words))
        trouble = "" if "logon" in self.heard else next((it for text, it in TROUBLES if squash(text) in seen), "")
        # Twice, so that a page that passes does not count.
        if trouble and trouble == self.suspect:
            raise Refused(trouble)
        self.suspect = trouble
        if words and words != self.shown and now >= self.next_tell:
            self.shown, self.next_tell = words, now + TELL_S
            self.tell(f"on the screen: {self.summary(words)}")

    # --- What is told when it ends badly --------------------------------------------------------------------------

    @staticmethod
    def summary(words: List[str]) -> str:
        text = " / ".join(line for line in words if len(line) > 2)
        return text if len(text) <= SHOWN_CHARS else "…" + text[1 - SHOWN_CHARS:]

    def describe(self) -> str:
        lines = [f"  last on the serial port: {self.machine.last_line or 'nothing'}"]
        if not self.is_off:
            try:
                lines.append(f"  on the screen: {self.summary(self.machine.words()) or 'nothing that can be read'}")
                self.machine.save_screenshot(self.picture)
                lines.append(f"  screenshot: {self.picture}")
            except (DeskfarmError, OSError) as error:
                lines.append(f"  the screen cannot be had: {error}")
        return "\n".join(lines)
