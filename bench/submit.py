#!/usr/bin/env python3
"""submit.py - measures durable submits: mdbroker and titanic, beside Redis and PostgreSQL.

Usage: ./dev bench submit [OPTION]...        the method is in bench/README.md

A submit is over when it is on disk and acknowledged. Prints a table of medians, where the time
goes, and which targets are reached. Exit code 1 where anything was lost.
"""

import sys

import stored_main
from stored_cells import SUBMIT, submit_cells

if __name__ == "__main__":
    sys.exit(stored_main.main(SUBMIT, submit_cells(), "Measures durable submits."))
