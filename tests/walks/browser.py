"""A real browser for the walks: the Chromium of this machine, driven as a person would."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# On two busy cores; a page of ours is there in a tenth of a second on an idle one.
PATIENCE_MS = 30_000
TELEPHONE = {"width": 360, "height": 740}


def installed() -> str | None:
    """Return where a browser is on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(installed() is None, reason="no Chromium on the PATH (Debian: chromium)")


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser without a window."""
    with sync_playwright() as driver:
        expect.set_options(timeout=PATIENCE_MS)
        # As root, as CI is, Chromium starts only without its sandbox; it opens nothing but our own pages.
        started = driver.chromium.launch(executable_path=installed(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@contextmanager
def telephone(
    started: Browser, locale: str = "en-GB", width: int = TELEPHONE["width"], stopped: str = ""
) -> Iterator[Page]:
    """Open a page with nothing in it from before; whatever it breaks, or its policy has to stop, fails the test.

    `stopped` is what the policy is meant to stop in it.
    """
    context = started.new_context(viewport={"width": width, "height": TELEPHONE["height"]}, locale=locale)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("dialog", lambda dialog: broken.append(f"a dialog: {dialog.message}"))

    def heard(message: ConsoleMessage) -> None:
        meant = "Failed to load resource" in message.text or (stopped and stopped in message.text)
        if message.type == "error" and not meant:
            broken.append(message.text)

    page.on("console", heard)
    try:
        yield page
        assert not broken
    finally:
        # What a test has rerouted may be under way still, and ends with the page.
        page.unroute_all(behavior="ignoreErrors")
        context.close()
