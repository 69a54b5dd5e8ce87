"""A smoke test's report as JUnit XML, which CI systems show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ops.safe_text import safe

if TYPE_CHECKING:
    from ops.smoke_test import Report

_NOT_XML = re.compile("[\ufffe\uffff]")
"""Characters that XML 1.0 can't hold, besides those that are never safe."""


def junit_xml(report: Report) -> str:
    """One test suite with a test case for each check."""
    suite = Element(
        "testsuite",
        name="smoke-test",
        tests=str(len(report.checks)),
        failures=str(len(report.failed)),
        skipped=str(sum(check.outcome == "skipped" for check in report.checks)),
        time=f"{sum(check.seconds for check in report.checks):.3f}",
    )
    for check in report.checks:
        case = SubElement(
            suite,
            "testcase",
            classname=safe(report.target),
            name=check.name,
            time=f"{check.seconds:.3f}",
        )
        if check.outcome == "failed":
            SubElement(case, "failure", message=safe(check.detail))
        elif check.outcome == "skipped":
            SubElement(case, "skipped", message=safe(check.detail))
    indent(suite)
    text = tostring(suite, encoding="utf-8", xml_declaration=True).decode()
    return _NOT_XML.sub("\ufffd", text) + "\n"
