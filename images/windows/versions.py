"""The versions of Windows that the recipe knows: how each is recognised, and what it wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class Version:
    name: str                 # of the image: "windows-11"
    title: str                # for people
    is_server: bool
    builds: Tuple[int, int]   # first and last build number of this version, both included
    drivers: str              # its folder on a virtio-win ISO: viostor/<drivers>/amd64
    editions: Tuple[str, ...] # EDITIONID, the most wanted first, when none is named
    needs_tpm: bool           # Setup refuses a machine without TPM 2.0 and Secure Boot


CLIENT = ("Professional", "ProfessionalEval", "Enterprise", "EnterpriseEval", "EnterpriseS", "EnterpriseSEval",
          "IoTEnterprise", "IoTEnterpriseS", "Education", "ProfessionalWorkstation", "Core", "CoreSingleLanguage")
SERVER = ("ServerStandard", "ServerStandardEval", "ServerDatacenter", "ServerDatacenterEval")

VERSIONS = (
    Version("windows-10", "Windows 10", False, (17763, 19045), "w10", CLIENT, False),
    Version("windows-11", "Windows 11", False, (22000, 26299), "w11", CLIENT, True),
    Version("windows-server-2019", "Windows Server 2019", True, (17763, 17763), "2k19", SERVER, False),
    Version("windows-server-2022", "Windows Server 2022", True, (20348, 20349), "2k22", SERVER, False),
    Version("windows-server-2025", "Windows Server 2025", True, (26100, 26299), "2k25", SERVER, False),
)


def find(build: int, is_server: bool) -> Optional[Version]:
    for version in VERSIONS:
        if version.is_server == is_server and version.builds[0] <= build <= version.builds[1]:
            return version
    return None
