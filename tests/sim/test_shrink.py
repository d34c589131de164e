#!/usr/bin/env python3
"""test_shrink.py - does the smaller world that the simulator prints fail in the same way?

Usage: test_shrink.py SIM_PLANTED

Planted bugs make seeds fail. Some of them break another invariant in a smaller world, so a
shrinking that takes any failure would wander off.
"""

import re
import shlex
import subprocess
import sys
import unittest

SIM = None
NOTES_KEPT = 60


def run(arguments):
    """Runs the simulator; its output, and the invariants that it says do not hold."""
    done = subprocess.run([SIM, *arguments], capture_output=True, text=True, check=False)
    reasons = re.findall(r"^(?:seed \d+ fails|It is still so).*:\n([^:]*):", done.stdout, re.M)
    return done, reasons


class ShrinkTest(unittest.TestCase):
    def shrinks(self, plant, seeds):
        found, (first, last) = run(["--plant", str(plant), "--seeds", str(seeds)])
        self.assertEqual(found.returncode, 1)
        self.assertEqual(first, last, "it shrank to another failure")
        commands = re.findall(r"^    \./dev sim (.*)$", found.stdout, re.M)
        self.assertEqual(len(commands), 2)
        events = [int(number) for number in re.findall(r"(\d+) events:$", found.stdout, re.M)]
        self.assertLessEqual(events[1], events[0])
        notes = re.findall(r"^ *\d+\.\d{6} ", found.stdout.split("The smallest world")[1], re.M)
        self.assertTrue(0 < len(notes) <= NOTES_KEPT)
        for command in commands:
            again, reasons = run([*shlex.split(command), "--no-shrink"])
            self.assertEqual(again.returncode, 1)
            self.assertEqual(reasons, [first], f"./dev sim {command}")
        # Nothing of the smaller world can be missing.
        self.assertIn(f"--plant {plant}", commands[1])
        self.assertGreater(len(commands[1]), len(commands[0]))

    def test_a_smaller_world_breaks_the_same_invariant(self):
        for plant, seeds in PLANTS:
            with self.subTest(plant=plant):
                self.shrinks(plant, seeds)


# Number and seeds, from plants.txt. 9 and 12 break other invariants in smaller worlds.
PLANTS = [(3, 20), (9, 20), (12, 20), (15, 20)]

if __name__ == "__main__":
    SIM = sys.argv.pop(1)
    unittest.main()
