"""`make picture`: the console with the demo's day in it, as a picture for the README and the documentation.

Starts the demo, signs in with Debian's Chromium, waits until the day shows (an agent that is away, documents that wait
for a slow ERP), and writes docs/console.png and docs/console-order.png.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fakes.browser import a_browser
from playwright.sync_api import Page

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, LEAST_HEIGHT, MOST_HEIGHT, MOST_BYTES = 1440, 900, 1_320, 300_000
READY_S, SHOWS_S = 900, 240
GUIDE = re.compile(r"(http://\S+/console)/\s+sign in as (\S+), password (\S+)")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="counterfoil-picture-") as folder:
        output = Path(folder, "output")
        with output.open("wb") as to:
            command = [sys.executable, "-m", "counterfoil_engine.demo"]
            demo = subprocess.Popen(command, stdout=to, stderr=subprocess.STDOUT, env={**os.environ, "COLUMNS": "200"})
        try:
            said = until_it_shows(demo, output)
            with a_browser() as browser:
                take(browser.new_page(viewport={"width": WIDTH, "height": LEAST_HEIGHT}, color_scheme="light"), said)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=60)
    return 0


def until_it_shows(demo: subprocess.Popen[bytes], output: Path) -> str:
    """What the demo said, once it tells where to click."""
    end_s = time.monotonic() + READY_S
    while "Ctrl-C ends it" not in (said := output.read_text(errors="replace")):
        if demo.poll() is not None or time.monotonic() > end_s:
            raise SystemExit(f"The demo didn't come up:\n{said[-2000:]}")
        time.sleep(0.5)
    return said


def take(page: Page, said: str) -> None:
    found = GUIDE.search(said)
    order = re.search(r"/console(/orders/\S+)", said)
    if found is None or order is None:
        raise SystemExit(f"The demo doesn't say where its console is:\n{said[-2000:]}")
    console, name, password = found.groups()
    page.goto(f"{console}/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    end_s = time.monotonic() + SHOWS_S
    while not is_telling(page.inner_text("main")) and time.monotonic() < end_s:
        time.sleep(2)
        page.reload()
    keep(page, "console.png", "is silent")
    page.goto(f"{console}{order[1]}")
    keep(page, "console-order.png", "is in the ERP")


def is_telling(text: str) -> bool:
    """An agent is silent and an ERP makes documents wait."""
    return "its agent is silent" in text and "wait for the erp" in text


def keep(page: Page, name: str, says: str) -> None:
    """The whole page, as far as it isn't endless. says: of its first line, else it is no picture to show."""
    if says not in (answer := page.inner_text("h1")):
        raise SystemExit(f"No picture is taken: the page says {answer!r}.")
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), MOST_HEIGHT)
    page.set_viewport_size({"width": WIDTH, "height": max(LEAST_HEIGHT, height)})
    picture = page.screenshot(path=DOCS / name)
    page.set_viewport_size({"width": WIDTH, "height": LEAST_HEIGHT})
    if len(picture) > MOST_BYTES:
        raise SystemExit(f"{name} has {len(picture):,} bytes, more than {MOST_BYTES:,}.")
    print(f"docs/{name}: {WIDTH} × {max(LEAST_HEIGHT, height)}, {len(picture):,} bytes")


if __name__ == "__main__":
    sys.exit(main())
