#!/usr/bin/env python3
"""test_pair_long.py - many failovers, and how long clients waited: the targets of a pair.

Usage: test_pair_long.py [--failovers N]; the program is taken from GALLEON_BIN, else build/asan. The
distribution is printed. Runs that fail are named by the tool on standard error.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")

# What is run, the part of all failovers, and what the outages may be: of G1 clients, and of others.
RUNS = (
    (["primary-killed", "--fast"], 1.0, {"p99": 500}, {}),
    (["primary-killed"], 0.4, {"p50": 1500, "p99": 2500, "max": 5000},
     {"p50": 1500, "p99": 2500, "max": 5000}),
    (["planned-switchover"], 0.4, {"p99": 300}, {"p99": 800}),
)


def missed(line, wanted, found):
    return [f"{' '.join(line)}: {name} is {found[name]:.0f} ms, not {most}"
            for name, most in wanted.items() if found[name] > most]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--failovers", type=int, default=500)
    failovers = parser.parse_args().failovers
    wrong = []
    for line, part, g1_max, old_max in RUNS:
        repeat = max(2, round(failovers * part))
        run = subprocess.run([FOLDER / "galleon", "drill", "run", "--json", *line, "--repeat",
                              str(repeat)], stdout=subprocess.PIPE, text=True, check=False)
        *runs, summary = json.loads(run.stdout)
        print(" ".join(line), json.dumps(summary), flush=True)
        dual = sum(one["dual"] for one in runs)
        if run.returncode != 0 or summary["lost"] > 0 or dual > 0:
            wrong.append(f"{' '.join(line)}: {summary['passed']} of {repeat} passed")
        wrong += missed(line, g1_max, summary["outage_g1_ms"])
        wrong += missed(line, old_max, summary["outage_old_ms"])
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
