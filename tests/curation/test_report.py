"""The report page: self-contained, escaped, and the numbers of the catalog. One test looks at it in a browser where there is one."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from assay.core.errors import UsageError
from assay.curation.catalog import Catalog
from assay.curation.recipe import Recipe
from assay.curation.report import report_html, write_report

from .support import math_row, rollout_row, run, write_rows

EVIL = "<script>alert(1)</script><img src=http://evil.example/x> & \"quoted\" 'text'"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [math_row("a", "How many is 3 + 4?", "7", source=EVIL), math_row(EVIL, f"Prove that {EVIL} holds.", "7", source="s" * 200),
            math_row("b", "How many is 3 + 4 and 5?", "12"), math_row("c", "x" * 5000, "", domain=EVIL), "{bad"]
    pool, rollouts = write_rows(tmp_path / "p.jsonl", rows), write_rows(tmp_path / "r.jsonl", [
        rollout_row("a", "sft<b>", 8, 16), rollout_row("b", "sft<b>", 16, 16, gold="12")])
    run(tmp_path / "c.duckdb", pool, rollouts, recipe=Recipe())
    return Catalog.open(tmp_path / "c.duckdb", read_only=True)


class Page(HTMLParser):
    """Tags that are open, all tags and attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "action", "background") or key.startswith("on")]
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (self.open[-3:], tag)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_well_formed_and_loads_nothing(catalog: Catalog) -> None:
    text = report_html(catalog)
    page = Page(text)
    assert page.open == []
    assert page.links == [] and not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text
    assert EVIL in page.text


def test_numbers_are_the_catalogs(catalog: Catalog) -> None:
    text = report_html(catalog)
    for status, reason, n in catalog.rows("SELECT status, reason, count(*) FROM v_decision GROUP BY ALL"):
        assert re.search(rf'<span>{re.escape(reason)}</span><span class="num">{n}</span><div class="track"><div class="fill {status}"', text)
    assert '<span>in</span><span class="num">5</span>' in text
    assert '<span>0.5 to 0.6</span><span class="num">1</span>' in text and '<span>1</span><span class="num">1</span>' in text


def test_written_whole(catalog: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "out" / "r.html"
    write_report(catalog, str(target))
    assert target.read_text() == report_html(catalog)
    with pytest.raises(UsageError, match="exists"):
        write_report(catalog, str(target))
    with Catalog.open(tmp_path / "new.duckdb") as empty, pytest.raises(UsageError, match="no run"):
        report_html(empty)


if BROWSER:      # a machine without one has no such test: a skip would say less
    @pytest.mark.parametrize("width", [390, 1280])
    def test_in_a_browser(catalog: Catalog, tmp_path: Path, width: int) -> None:
        """Nothing is wider than the screen, on a phone and on a desk."""
        page = report_html(catalog)
        probe = ("<script>document.title = JSON.stringify({wide: document.documentElement.scrollWidth, screen: window.innerWidth, "
                 "bars: document.querySelectorAll('.row').length})</script>")
        page = page.replace("style-src", "script-src 'unsafe-inline'; style-src").replace("</body>", probe + "</body>")
        target = tmp_path / "probe.html"
        # An iframe gives the width exactly; a headless window has a least width of its own.
        target.write_text(page)
        frame = tmp_path / "frame.html"
        frame.write_text(f'<iframe id="f" src="probe.html" width="{width}" height="800" style="border:0"></iframe><script>'
                         "document.getElementById('f').onload = e => { document.title = e.target.contentDocument.title; "
                         "document.body.append(document.title) }</script>")
        shown = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
                                "--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", frame.as_uri()],
                               capture_output=True, text=True, timeout=120, check=True).stdout
        found = re.search(r"\{[^{}]*wide[^{}]*\}", shown)
        assert found, shown[-500:]
        measured = json.loads(found[0].replace("&quot;", '"'))
        assert measured["screen"] == width
        assert measured["wide"] <= width
        assert measured["bars"] >= 5
