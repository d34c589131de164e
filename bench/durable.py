#!/usr/bin/env python3
"""durable.py - measures durable requests from submit to fetched answer, beside Redis streams.

Usage: ./dev bench durable [--long] [OPTION]...        the method is in bench/README.md

A request is over when it is stored, executed, its answer stored, and fetched. Prints a table of
medians, where the time goes, and which targets are reached; with --long also what ten million
pending requests cost. Exit code 1 where anything was lost.
"""

import sys

import stored_main
from stored_cells import DURABLE, durable_cells

if __name__ == "__main__":
    sys.exit(stored_main.main(DURABLE, durable_cells(), "Measures durable requests, all the way."))
