"""A real browser for tests: Debian's Chromium, driven by Playwright.

COUNTERFOIL_CHROMIUM names another one. Where there is none its tests are skipped with the reason, or fail where
COUNTERFOIL_REQUIRE_SERVICES=1.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


RULES_OF_AXE = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    path = os.environ.get("COUNTERFOIL_CHROMIUM") or shutil.which("chromium")
    if path is None:
        message = "There is no Chromium. Install it (Debian: apt-get install chromium), or set COUNTERFOIL_CHROMIUM."
        if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def with_axe(page: Page) -> None:
    """Every document that this page opens from now on can be read by axe: put in once, since it is half a megabyte."""
    page.add_init_script(Axe().axe_script)


def faults_by_axe(page: Page) -> list[tuple[str, str]]:
    """What a page lacks for who can't see or point: the rule, and where it is broken first."""
    found = page.evaluate("rules => axe.run(rules).then(result => result.violations)", RULES_OF_AXE)
    return [(each["id"], each["nodes"][0]["html"]) for each in found]
