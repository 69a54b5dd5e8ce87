"""What the Space's image is made of, under which licences, and which of it is known to be unsafe.

    make audit

Writes a bill of materials (CycloneDX, JSON) of what is installed in the image, lists the licences,
and asks PyPI for known vulnerabilities of everything that .ci/constraints.txt pins. Exits 1 when
there is one, 2 when the question wasn't answered for every package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from requirements import HASHED, PROJECT, TORCH, Pin, pins

BILL = PROJECT / "build" / "sbom.cdx.json"
_OSI = "License :: OSI Approved :: "
_LONGEST = 60
_TIMEOUT = 15
"""Seconds for each answer of the advisory service."""

_UNANSWERED = 2


def main() -> int:
    """Write, list, ask; returns the exit code."""
    image = sorted(
        (pin for path in (*HASHED, TORCH) for pin in pins(path)), key=lambda pin: pin.name
    )
    _write_bill(image)
    print(f"{BILL.relative_to(PROJECT)}: {len(image)} packages of the image. Their licences:")
    for pin in image:
        print(f"  {pin.name:<42}{pin.version:<18}{_licence(pin.name)}")
    return _audit(PROJECT / ".ci" / "constraints.txt")


def _write_bill(image: list[Pin]) -> None:
    whole = Component(name="embedding-space", type=ComponentType.CONTAINER)
    bom = Bom(components=[_component(pin) for pin in image])
    bom.metadata.component = whole
    bom.register_dependency(whole, bom.components)
    BILL.parent.mkdir(exist_ok=True)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    BILL.write_text(outputter.output_as_string(indent=2) + "\n", encoding="utf-8")


def _component(pin: Pin) -> Component:
    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pin.hashes],
        licenses=[LicenseFactory().make_from_string(_licence(pin.name))],
    )


def _licence(package: str) -> str:
    """As the package itself declares it."""
    declared = metadata(package)
    if expression := declared.get("License-Expression"):
        return expression
    text = declared.get("License") or ""
    if not text or "\n" in text or len(text) > _LONGEST:
        classifiers = declared.get_all("Classifier") or []
        text = " AND ".join(c.removeprefix(_OSI) for c in classifiers if c.startswith(_OSI))
    return text or "not declared"


def _audit(constraints: Path) -> int:
    command = ["pip-audit", "--disable-pip", "--no-deps", "--requirement", str(constraints)]
    command += ["--format=json", "--progress-spinner=off", f"--timeout={_TIMEOUT}"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        print(f"\nNothing was audited: the advisory service can't be reached ({reason[0]}).")
        return _UNANSWERED
    unsafe = [(one, found) for one in answers for found in one.get("vulns", [])]
    for one, found in unsafe:
        fixed = ", ".join(found["fix_versions"]) or "none yet"
        print(f"{one['name']} {one['version']}: {found['id']}, fixed in: {fixed}")
    unanswered = [one["name"] for one in answers if "skip_reason" in one]
    print(f"\n{len(answers) - len(unanswered)} of {len(answers)} packages were audited, ", end="")
    print(f"{len(unsafe)} known vulnerabilities were found.")
    if unanswered:
        print(
            f"Nothing is known about the other {len(unanswered)}: the advisory service can't be "
            f"reached from here, or doesn't have them. The first is {unanswered[0]}."
        )
    if unsafe:
        return 1
    return _UNANSWERED if unanswered else 0


if __name__ == "__main__":
    sys.exit(main())
