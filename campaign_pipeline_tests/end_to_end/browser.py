"""A real headless Chromium, the distribution's own, steered by its driver (W3C WebDriver): what a person sees there.

    python -m campaign_pipeline_tests.end_to_end.browser http://127.0.0.1:3000/asset-groups lineage.png

Keep out what should be seen: that belongs to the tests.
"""

import base64
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.waiting import wait_until

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOADING: Final = 300.0
"""Seconds that a page may take until it shows what it should; two cores are busy with other things too."""

_SETTLING: Final = 1.5
"""Seconds until what moves on a page has come to rest, before a picture is taken."""

_SWITCHES: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def find_programs() -> tuple[str, str] | None:
    """The browser and its driver; None where either is not there."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One window."""

    def __init__(self, session_url: str) -> None:
        self._url = session_url
        self._http = requests.Session()
        self._http.trust_env = False

    def open(self, url: str) -> None:
        """Goes to a page."""
        self._post("url", url=url)

    def text(self) -> str:
        """The words that the page shows now."""
        return str(self._run("return document.body.innerText"))

    def wait_for(self, words: Iterable[str]) -> None:
        """Waits until the page shows all of some words.

        Raises:
            AssertionError: Some never came; says which, and what was there instead.
        """
        missing = wanted = list(words)
        deadline = time.monotonic() + LOADING
        while missing and time.monotonic() < deadline:
            text = self.text()
            missing = [word for word in wanted if word not in text]
            time.sleep(0.2)
        assert not missing, f"the page shows no {missing}: {self.text()[:3000]}"

    def press(self, text: str, which: int = 0) -> None:
        """Presses what carries a text."""
        path = f"//*[normalize-space(text())='{text}']"
        wait_until(lambda: len(self._elements(path)) > which, f"{text!r} to be there", LOADING)
        self._run("arguments[0].scrollIntoView({block: 'center'})", self._elements(path)[which])
        [element] = self._elements(path)[which].values()
        self._post(f"element/{element}/click")

    def show(self, selector: str) -> dict[str, int]:
        """Waits for an image to be drawn, and gives its size in pixels."""
        script = """const image = document.querySelector(arguments[0]);
                    return image && image.complete ? {width: image.naturalWidth, height: image.naturalHeight} : null"""
        wait_until(lambda: self._run(script, selector) is not None, f"the image {selector}", LOADING)
        return self._run(script, selector)

    def is_on(self, name: str) -> bool:
        """Whether the switch in the row of something with a name is on."""
        script = """const label = [...document.querySelectorAll('a, span, div')].find(
                      each => each.textContent.trim() === arguments[0]);
                    for (let row = label; row; row = row.parentElement) {
                      const boxes = row.querySelectorAll('input[type=checkbox], [role=switch]');
                      if (boxes.length > 1) return [...boxes].some(box => box.checked);
                    }
                    return null"""
        return bool(self._run(script, name))

    def picture(self, path: Path) -> Path:
        """A PNG of the window."""
        time.sleep(_SETTLING)
        path.write_bytes(base64.b64decode(self._get("screenshot")))
        return path

    def _elements(self, path: str) -> list[dict[str, str]]:
        return self._post("elements", using="xpath", value=path)

    def _run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the page gives
        return self._post("execute/sync", script=script, args=list(arguments))

    def _post(self, what: str, **body: object) -> Any:  # noqa: ANN401 - whatever the driver gives
        return self._value(self._http.post(f"{self._url}/{what}", json=body))

    def _get(self, what: str) -> Any:  # noqa: ANN401 - whatever the driver gives
        return self._value(self._http.get(f"{self._url}/{what}"))

    @staticmethod
    def _value(answer: requests.Response) -> Any:  # noqa: ANN401 - whatever the driver gives
        value = answer.json()["value"]
        assert answer.ok, value
        return value


@contextmanager
def open_browser(programs: tuple[str, str], size: tuple[int, int] = (1600, 1000)) -> Generator[Browser]:
    """Runs a browser with one window, in a profile of its own, until the body ends."""
    browser, driver = programs
    port = free_port()
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    http = requests.Session()
    http.trust_env = False
    try:
        wait_until(lambda: _is_ready(http, url), "the browser's driver")
        options = {"binary": browser, "args": [*_SWITCHES, f"--window-size={size[0]},{size[1]}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = Browser._value(http.post(f"{url}/session", json=wanted))
        session_url = f"{url}/session/{session['sessionId']}"
        try:
            yield Browser(session_url)
        finally:
            http.delete(session_url, timeout=300)
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(http: requests.Session, url: str) -> bool:
    try:
        return http.get(f"{url}/status", timeout=5).json()["value"]["ready"]
    except requests.ConnectionError:
        return False


def main() -> None:
    """Takes one picture: of an address, into a file, after the words that come behind were shown and pressed."""
    programs = find_programs()
    if programs is None:
        sys.exit("No Chromium with its driver is on this machine.")
    url, path, *presses = sys.argv[1:]
    with open_browser(programs) as browser:
        browser.open(url)
        for text in presses:
            browser.press(text)
        time.sleep(5)
        browser.picture(Path(path))


if __name__ == "__main__":
    main()
