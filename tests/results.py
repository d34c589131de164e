#!/usr/bin/env python3
"""results.py - counts what ctest ran, test case by test case.

Usage: results.py JUNIT.xml...        prints: PASSED FAILED SKIPPED

A program of cmocka, a script that speaks TAP and a Python unittest are counted by their cases; any
other test is one. A case that began and did not end has failed, and a test that ctest calls failed
has failed at least once, whatever it printed.
"""

import re
import sys
import xml.etree.ElementTree

CMOCKA_CASE = re.compile(r"^\[ +(RUN|OK|SKIPPED) +\] ", re.MULTILINE)
TAP_CASE = re.compile(r"^(not ok|ok)\b[^\n#]*(# *skip)?", re.MULTILINE | re.IGNORECASE)
UNITTEST_RUN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
UNITTEST_BAD = re.compile(r"\b(failures|errors|unexpected successes)=(\d+)")
UNITTEST_SKIPPED = re.compile(r"\bskipped=(\d+)")


def count_cases(output):
    """Gives (passed, failed, skipped) by the cases in a test's output; zeros if it shows none."""
    kinds = CMOCKA_CASE.findall(output)
    if kinds:
        passed, skipped = kinds.count("OK"), kinds.count("SKIPPED")
        return passed, max(0, kinds.count("RUN") - passed - skipped), skipped
    ran = UNITTEST_RUN.search(output)
    if ran:
        end = output[ran.end():]
        failed = sum(int(number) for _, number in UNITTEST_BAD.findall(end))
        skipped = sum(int(number) for number in UNITTEST_SKIPPED.findall(end))
        return max(0, int(ran.group(1)) - failed - skipped), failed, skipped
    cases = TAP_CASE.findall(output)
    failed = sum(1 for kind, skip in cases if kind == "not ok" and not skip)
    skipped = sum(1 for _, skip in cases if skip)
    return len(cases) - failed - skipped, failed, skipped


def count_test(case):
    """Gives (passed, failed, skipped) of one ctest test."""
    skip = case.find("skipped")
    if skip is not None and skip.get("message", "").startswith("SKIP_"):
        return 0, 0, 1
    has_failed = case.get("status") != "run"
    passed, failed, skipped = count_cases(case.findtext("system-out") or "")
    if has_failed:
        failed = max(failed, 1)
    elif passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    for path in sys.argv[1:]:
        try:
            cases = xml.etree.ElementTree.parse(path).getroot().iter("testcase")
            counts = [count_test(case) for case in cases]
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            print(f"results.py: {path}: {error}", file=sys.stderr)
            counts = [(0, 1, 0)]
        total = [sum(column) for column in zip(total, *counts)]
    print(*total)


if __name__ == "__main__":
    main()
