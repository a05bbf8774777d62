"""A real Chromium without a window, driven over a pipe: no driver and no package are needed."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
PHONE, DESKTOP = (390, 844), (1280, 900)


class Browser:
    """One tab. Commands and answers of the DevTools protocol are JSON texts that end in a null."""

    def __init__(self, profile: Path) -> None:
        to_browser, self._commands = (self._out_of_the_way(end) for end in os.pipe())
        self._answers, from_browser = (self._out_of_the_way(end) for end in os.pipe())
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            "about:blank",
        ]  # fmt: skip
        # The browser reads its commands from descriptor 3 and answers on descriptor 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *command]
        self._process = subprocess.Popen(
            shell,
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._left, self._number, self._session = b"", 0, None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict:
        """The result of one command of the protocol."""
        self._number += 1
        message: dict = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def show(self, page: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> None:
        """Open a page in a window of this size, in the light or the dark scheme."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Page.navigate", url=page.absolute().as_uri())
        while self.run("document.readyState") != "complete":
            pass

    def run(self, script: str) -> object:
        """The value of an expression of JavaScript; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, such as ``Tab``, ``Enter`` or ``Escape``."""
        number = {"Tab": 9, "Enter": 13, "Escape": 27}[key]
        own = {"key": key, "code": key, "windowsVirtualKeyCode": number}
        typed = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **own, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **own)

    def picture(self, file: Path) -> None:
        """Save a picture of the window."""
        found = self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End the browser."""
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    @staticmethod
    def _out_of_the_way(end: int) -> int:
        """The same end of a pipe with a number that is neither 3 nor 4."""
        made = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(end)
        return made

    def _next(self) -> dict:
        while b"\0" not in self._left:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise OSError("the browser has ended")
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that ends with the body. profile: an empty folder for what it keeps."""
    made = Browser(profile)
    try:
        yield made
    finally:
        made.close()
