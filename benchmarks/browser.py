"""A headless Chromium that a program drives over the DevTools protocol."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from websockets.sync.client import connect

OPTIONS = (
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip
ELEMENT = """(() => {{
    const shown = [...document.querySelectorAll({selector})].filter(e => e.offsetParent !== null);
    return shown.find(e => e.textContent.trim() === {text}) ?? shown.find(e => e.textContent.includes({text}));
}})()"""
SELDOM = """(() => {
    const soon = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = draw => setTimeout(() => soon(draw), 100);
})()"""
"""Draws a page at most ten times a second: viser draws without end, and without a GPU that takes a core."""
FIELD = """(() => {{
    let around = [...document.querySelectorAll('label')].find(l => l.textContent.trim() === {label});
    while (around && !around.querySelector('input:not([type=hidden])')) around = around.parentElement;
    return around && around.querySelector('input:not([type=hidden])');
}})()"""


def find_chromium() -> str | None:
    """The browser's command, where it is installed."""
    return shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


class Page:
    """One page of a browser."""

    def __init__(self, address: str):
        self._socket = connect(address, max_size=2**28)
        self._numbers = itertools.count(1)
        self.events: list[dict] = []
        """What the page reported by itself, in the domains that were enabled."""

    def call(self, method: str, **parameters):
        """A command of the protocol, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if "method" in answer:
                self.events.append(answer)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def run(self, expression: str):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def is_loaded(self) -> bool:
        """Whether there is a document yet, and all of it."""
        try:
            return self.run("document.readyState") == "complete"
        except RuntimeError:
            return False

    def picture(self, path: Path | None = None) -> np.ndarray:
        """A screenshot, (height, width, 3) uint8."""
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(png)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def draw(self, times: int) -> None:
        """Wait until the page has drawn itself some times."""
        for _ in range(times):
            self.run("new Promise(requestAnimationFrame)")

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse button."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for event in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=event, x=x, y=y, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Move the mouse with its button held."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], button="left", clickCount=1)
        for part in (0.25, 0.5, 0.75, 1.0):
            x, y = (one + part * (other - one) for one, other in zip(start, end))
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
            time.sleep(0.05)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], button="left", clickCount=1)

    def type(self, key: str, times: int = 1) -> None:
        """Press and release a key; it goes to the element that has the focus."""
        for _ in range(times):
            for event in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=event, key=key, code=key)

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """Give the window another size, in pixels of a page; a screen has `scale` times as many."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=False)

    def open_folder(self, label: str) -> None:
        """Click the title of a folder of the panel."""
        self.press(label, "[class*=Paper]")

    def press(self, text: str, selector: str = "button, [role=tab]") -> None:
        """Click an element that shows a text, as soon as there is one."""
        self._click_on(ELEMENT.format(selector=json.dumps(selector), text=json.dumps(text)), text)

    def write(self, label: str, *parts: str) -> None:
        """Replace what stands in a text field, by one part of the new text after the other."""
        self._click_on(FIELD.format(label=json.dumps(label)), label)
        self.run("document.activeElement.select()")
        for part in parts:
            self.call("Input.insertText", text=part)
        self.run("document.activeElement.blur()")

    def value(self, label: str) -> str:
        """What stands in a text field."""
        return self.run(f"{FIELD.format(label=json.dumps(label))}.value")

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a dropdown."""
        found = ELEMENT.format(selector=json.dumps("[role=option]"), text=json.dumps(option))
        for _ in range(5):  # a panel that moves under the mouse opens nothing
            self._click_on(FIELD.format(label=json.dumps(label)), label)
            with suppress(AssertionError):
                wait_for(lambda: self.run(f"Boolean({found})"), option, 2)
                break
        self.press(option, "[role=option]")

    def check(self, label: str) -> None:
        """Click a checkbox."""
        self._click_on(FIELD.format(label=json.dumps(label)), label)

    def shows(self, text: str) -> bool:
        """Whether a text can be read on the page."""
        return self.run(f"document.body.innerText.includes({json.dumps(text)})")

    def _click_on(self, element: str, name: str) -> None:
        wait_for(lambda: self.run(f"Boolean({element})"), f"{name} on the page")
        where = (
            f"(() => {{const e = {element}; e.scrollIntoView({{block: 'nearest'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        place = None
        while place != (place := self.run(where)):  # a panel that is being filled moves under the mouse
            time.sleep(0.1)
        self.click(*place)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@contextmanager
def browser(*options: str) -> Iterator[None]:
    """A browser of its own; its folders for temporary files, which it leaves behind, are removed with their own."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # not a long path: a socket is in there
        command, environment = [find_chromium(), *OPTIONS, *options, "about:blank"], os.environ | {"TMPDIR": folder}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def open_page(url: str, profile: Path, failure: Path, width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A page in a browser of its own, and a picture of what could be seen when something fails."""
    with browser(f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        port_file = profile / "DevToolsActivePort"
        port = wait_for(lambda: port_file.exists() and port_file.read_text().split("\n")[0], "the browser")

        def address() -> str | None:
            with suppress(OSError):  # the file is there before anybody listens
                pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
                return next((page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"), None)
            return None

        page = Page(wait_for(address, "a page"))
        page.resize(width, height)
        page.call("Page.enable")
        page.call("Page.addScriptToEvaluateOnNewDocument", source=SELDOM)
        page.call("Page.navigate", url=url)
        wait_for(page.is_loaded, "the page's content")
        try:
            yield page
        except BaseException:
            page.picture(failure)
            raise
