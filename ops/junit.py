"""A smoke test's report as JUnit XML, which CI systems show."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

if TYPE_CHECKING:
    from ops.smoke_test import Report


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
            classname=report.target,
            name=check.name,
            time=f"{check.seconds:.3f}",
        )
        if check.outcome == "failed":
            SubElement(case, "failure", message=check.detail)
        elif check.outcome == "skipped":
            SubElement(case, "skipped", message=check.detail)
    indent(suite)
    return tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
