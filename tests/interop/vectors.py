"""Reads docs/protocol/vectors.md, and pages like it: the rows as data, in the notation that the page explains."""

import collections
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "protocol" / "vectors.md"
PIRATES = PAGE.with_name("pirates.md")
PAIRS = PAGE.with_name("bstar.md")

Positive = collections.namedtuple("Positive", "id socket way dialect command frames decoded")
Negative = collections.namedtuple("Negative", "id socket state frames expect why")


def frames(text):
    """Return the frames that the tokens of a cell stand for."""
    found = []
    for token in text.split():
        token, _, times = token.partition("^")
        found += [one_frame(token)] * int(times or 1)
    return found


def one_frame(token):
    if token == "-":
        return b""
    data = b""
    for piece in token.split("."):
        digits, _, times = piece.partition("*")
        data += bytes.fromhex(digits) * int(times or 1)
    return data


def items(text):
    """Return the key=value items of a decoded record."""
    return dict(item.split("=", 1) for item in text.split() if item != "-")


def rows(letters, page=PAGE):
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if re.fullmatch(f"[{letters}][0-9]+[a-d]?", cells[0]):
            yield cells


def positive(page=PAGE):
    for *start, text, decoded in rows("VG", page):
        yield Positive(*start, frames(text), decoded)


def negative(page=PAGE):
    for name, socket, state, text, expect, why in rows("N", page):
        yield Negative(name, socket, state, frames(text), expect, why)
