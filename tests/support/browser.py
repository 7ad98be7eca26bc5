"""A browser without a window, asked over a pipe: real keys, real sizes, both colour schemes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

#: Names under which the browser is installed.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """Return where the browser is, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium, for use in a ``with`` block."""

    def __init__(self, path: str) -> None:
        self._path, self._count, self._session = path, 0, ""

    def __enter__(self) -> Browser:
        here, there = os.pipe(), os.pipe()  # requests, answers
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # the browser reads requests from descriptor 3 and writes answers to 4
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe"
        command = f'exec "$0" {flags} --user-data-dir="$1" about:blank 3<&{here[0]} 4>&{there[1]}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, self._path, self._folder.name],
            pass_fds=(here[0], there[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(here[0])
        os.close(there[1])
        self._requests, self._answers = os.fdopen(here[1], "wb", 0), os.fdopen(there[0], "rb")
        self._rest = b""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._ask("Page.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session = ""
        try:
            self._ask("Browser.close")
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._requests.close()
        self._answers.close()
        self._folder.cleanup()

    def open(
        self,
        path: Path,
        width: int = 1100,
        *,
        height: int = 844,
        dark: bool = False,
        query: str = "",
    ) -> None:
        """Show a file in a window of that size and that colour scheme, asked for some words."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", media="", features=[scheme])
        address = path.resolve().as_uri() + (f"?q={query}" if query else "")
        self._ask("Page.navigate", url=address)
        self.value(
            "new Promise(done => addEventListener('load', done) || "
            "(document.readyState === 'complete' && done()))"
        )

    def print_preview(self) -> None:
        """Show the page as it is printed."""
        self._ask("Emulation.setEmulatedMedia", media="print", features=[])

    def value(self, expression: str) -> Any:
        """Return what an expression is worth in the page."""
        answer = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        held = {"key": key, "windowsVirtualKeyCode": code}
        self._ask("Input.dispatchKeyEvent", type="keyDown", text=text, **held)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **held)

    def picture(self, *, whole: bool = True) -> bytes:
        """Return the page as PNG."""
        answer = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def printed(self) -> bytes:
        """Return the page as PDF."""
        answer = self._ask(
            "Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69
        )
        return base64.b64decode(answer["data"])

    def _ask(self, method: str, **parameters: Any) -> Any:
        """Send a request and return its answer; what happens between is dropped."""
        self._count += 1
        request: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        self._requests.write(json.dumps(request).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _message(self) -> bytes:
        while b"\0" not in self._rest:
            read = self._answers.read1(1 << 20)
            if not read:
                raise OSError("the browser closed its pipe")
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        return message
