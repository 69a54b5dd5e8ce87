from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from ops.junit import junit_xml
from ops.probe import ServerInfo
from ops.redaction import hide
from ops.smoke_test import CheckResult, Measurements, Report

INFO = ServerInfo("m", 3, "", "", 10, 2048, 512, "f", api_key_required=False)
REPORT = Report(
    "http://127.0.0.1:1",
    INFO,
    (
        CheckResult("page", "passed", "200", 0.25),
        CheckResult("batch", "failed", 'cosine < 0.9 & "more" > 0.1', 0.5),
        CheckResult("wrong-key", "skipped", "no keys are set", 0.0),
    ),
    Measurements(None, None, None, None),
)


def parsed(report: Report) -> ET.Element:
    """The XML as a CI system reads it."""
    return ET.fromstring(junit_xml(report))  # noqa: S314 -- our own


def test_suite_counts() -> None:
    """A CI system sees how many checks there were, failed and were skipped, and how long."""
    suite = parsed(REPORT)
    assert suite.tag == "testsuite"
    assert suite.attrib == {
        "name": "smoke-test",
        "tests": "3",
        "failures": "1",
        "skipped": "1",
        "time": "0.750",
    }


def test_case_for_each_check() -> None:
    """Each check is a case of the server that was proven, in the order of the table."""
    cases = parsed(REPORT).findall("testcase")
    assert [case.get("name") for case in cases] == ["page", "batch", "wrong-key"]
    assert {case.get("classname") for case in cases} == {"http://127.0.0.1:1"}
    assert [case.get("time") for case in cases] == ["0.250", "0.500", "0.000"]


def test_findings_are_text() -> None:
    """What a check found comes through whole, whatever characters are in it."""
    passed, failed, skipped = parsed(REPORT).findall("testcase")
    assert list(passed) == []
    assert [(child.tag, child.get("message")) for child in failed] == [
        ("failure", 'cosine < 0.9 & "more" > 0.1')
    ]
    assert [(child.tag, child.get("message")) for child in skipped] == [
        ("skipped", "no keys are set")
    ]


def test_a_finding_is_safe_to_read() -> None:
    """No character that XML can't hold or a terminal obeys, and no secret."""
    hide("a-planted-secret")
    found = "a\x1b[31mred\x00\x0b \ufffe\u202e a-planted-secret"
    report = replace(REPORT, checks=(CheckResult("page", "failed", found, 0.0),))
    (case,) = parsed(report).findall("testcase")
    assert case[0].get("message") == "ared\\u0000\\u000b \ufffd\\u202e [hidden]"


def test_file_says_that_it_is_xml() -> None:
    """The text is a whole XML file that ends in a newline."""
    text = junit_xml(REPORT)
    assert text.startswith("<?xml version='1.0' encoding='utf-8'?>\n")
    assert text.endswith("</testsuite>\n")
