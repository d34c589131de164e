#!/usr/bin/env python3
"""test_results.py - counts of results.py for outputs of each kind, broken ones too."""

import os
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import results  # pylint: disable=wrong-import-position


def count(output, status="run", skipped=None):
    case = xml.etree.ElementTree.Element("testcase", status=status)
    if skipped is not None:
        xml.etree.ElementTree.SubElement(case, "skipped", message=skipped)
    xml.etree.ElementTree.SubElement(case, "system-out").text = output
    return results.count_test(case)


class Counts(unittest.TestCase):
    def test_plain_program_is_one_test(self):
        self.assertEqual(count("all is well"), (1, 0, 0))
        self.assertEqual(count("", "fail"), (0, 1, 0))

    def test_cmocka_is_counted_by_its_cases(self):
        output = "[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n[  FAILED  ] b\n"
        summary = "[  FAILED  ] tests: 1 test(s), listed below:\n[  FAILED  ] b\n"
        self.assertEqual(count(output + summary, "fail"), (1, 1, 0))

    def test_case_that_did_not_end_has_failed(self):
        output = "[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\nSegmentation fault\n"
        self.assertEqual(count(output, "fail"), (1, 1, 0))

    def test_skipped_case_is_neither_passed_nor_failed(self):
        self.assertEqual(count("[ RUN      ] a\n[  SKIPPED ] a\n"), (0, 0, 1))

    def test_failure_after_the_last_case_counts(self):
        output = "[ RUN      ] a\n[       OK ] a\nLeakSanitizer: detected memory leaks\n"
        self.assertEqual(count(output, "fail"), (1, 1, 0))

    def test_tap_is_counted_by_its_lines(self):
        self.assertEqual(count("ok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP\n1..3\n", "fail"), (1, 1, 1))

    def test_unittest_is_counted_by_its_summary(self):
        self.assertEqual(count("Ran 5 tests in 0.1s\n\nOK (skipped=1)\n"), (4, 0, 1))
        output = "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1)\n"
        self.assertEqual(count(output, "fail"), (3, 2, 0))

    def test_program_that_is_missing_has_failed(self):
        self.assertEqual(count("", "notrun", "Unable to find executable"), (0, 1, 0))

    def test_test_that_skips_itself_is_skipped(self):
        self.assertEqual(count("", "notrun", "SKIP_RETURN_CODE=77"), (0, 0, 1))


if __name__ == "__main__":
    unittest.main()
