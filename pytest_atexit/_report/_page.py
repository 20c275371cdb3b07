"""The page on all runs: the template beside this file, with the report's JSON in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parent / "page.html"
PLACE = "/*REPORT*/null"


def page(document: dict[str, Any]) -> str:
    """Returns one self-contained page."""
    # In a script `<` might begin the end of it, and a comment, in what a program has put into a name or a message.
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    before, after = TEMPLATE.read_text(encoding="utf-8").split(PLACE)
    return f"{before}{data}{after}"
