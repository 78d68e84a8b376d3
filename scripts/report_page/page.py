"""Joins the data, the templates and Plotly into the page.

The data and Plotly are in the page as gzip in base64. So no text of a results file can end a script element, and the
page is small. The browser unpacks them itself (DecompressionStream). The verdicts and what was not covered are plain
HTML, which also a browser without scripts shows.
"""

import base64
import gzip
import json
import pathlib
import re

from report_page import summary
from report_page.data import drop_places, page_data
from report_page.results import ReportError

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = (
    "text",
    "data",
    "widgets",
    "plots",
    "trend",
    "ops",
    "shape",
    "op",
    "places",
    "case",
    "cases",
    "bench",
    "main",
)
REPOSITORY = HERE.parent.parent  # or the folder of an installation or bundle, which has no scripts/setup
PLOTLY = (HERE / "plotly.min.js", REPOSITORY / ".deps" / "plotly" / "package_data" / "plotly.min.js")
MOST_BYTES = 8 * 2**20
KEPT_PLACES = (1000, 100, 30, 10, 3, 1, 0)  # maps for each op and run; fewer are tried until the page is small enough


def plotly():
    """Plotly's JavaScript: beside this file in an installation, else where scripts/setup unpacked it."""
    for path in PLOTLY:
        if path.is_file():
            return path.read_bytes()
    if (REPOSITORY / "scripts" / "setup").is_file():
        raise ReportError(f"Plotly is missing: there is no {PLOTLY[1]}; run scripts/setup --deps-only")
    raise ReportError(
        f"Plotly is missing from this installation: there is no {PLOTLY[0]}; run scripts/setup --deps-only in the repository, "
        "and install again"
    )


def packed(content):
    """Gzip in base64. The result is the same for the same content."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def shrunk(data, room):
    """The packed data, at most `room` characters if leaving out maps of places makes that possible."""
    for kept in KEPT_PLACES:
        data["dropped_places"] += drop_places(data, kept)
        text = packed(json.dumps(data, separators=(",", ":"), allow_nan=False).encode())
        if len(text) <= room:
            break
    return text


def make(files):
    """The page of these results (report_page.results.Results), and sentences about it for the terminal."""
    data = page_data(files)
    style = (HERE / "page.css").read_text()
    script = "\n".join((HERE / "js" / f"{name}.js").read_text() for name in SCRIPTS)
    parts = {"STYLE": style, "SCRIPT": script, "SUMMARY": summary.html_of(data), "PLOTLY": packed(plotly())}
    text = shrunk(data, MOST_BYTES - sum(len(part.encode()) for part in parts.values()) - 20000)
    parts["DATA"] = text
    # One pass: a part may contain the mark of another.
    page = re.sub("@(" + "|".join(parts) + ")@", lambda mark: parts[mark[1]], (HERE / "page.html").read_text())
    content = page.encode()
    notes = []
    if data["dropped_places"]:
        notes.append(f"{data['dropped_places']} maps of differing elements were left out, to keep the page under 8 MiB")
    if len(content) >= MOST_BYTES:
        notes.append("the page is larger than 8 MiB, so it may open slowly; give fewer results files")
    return content, notes
