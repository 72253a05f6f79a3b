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
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
