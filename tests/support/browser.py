"""A real browser for tests: Debian's chromium, driven over the WebDriver protocol.

No library is needed: a session is a handful of HTTP requests to chromedriver on this machine.
"""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """A session; `javascript` turned off is a browser without it."""

    def __init__(self, port, profile, javascript=True):
        self.base = f"http://127.0.0.1:{port}"
        preferences = (
            {} if javascript else {"profile.managed_default_content_settings.javascript": 2}
        )
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={profile}"],
            "prefs": preferences,
        }
        always = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        self.base += f"/session/{made['sessionId']}"

    def ask(self, method, path, content=None):
        """A request to the driver; its `value`."""
        data = json.dumps(content if content is not None else {}).encode()
        request = urllib.request.Request(
            self.base + path,
            data if method == "POST" else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def cdp(self, command, **parameters):
        """A command of the Chrome DevTools protocol."""
        content = {"cmd": command, "params": parameters}
        return self.ask("POST", "/goog/cdp/execute", content)

    def offline(self):
        """Turn the network off."""
        self.cdp("Network.enable")
        self.cdp(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip

    def open(self, path):
        self.ask("POST", "/url", {"url": path.resolve().as_uri()})

    def run(self, script, *arguments):
        """The value of a script that says `return`."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def size(self, width, height=900, dark=False):
        """A screen of so many CSS pixels, light or dark."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path, whole=True):
        """A PNG of the screen, or of the whole page."""
        made = self.cdp("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))

    def pdf(self, path):
        made = self.cdp("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(made["data"]))

    def complaints(self):
        """What stands in the console."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def requests(self):
        """The addresses asked for since the last call."""
        entries = self.ask("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def close(self):
        self.ask("DELETE", "")


@contextmanager
def browser(javascript=True):
    """A session in a fresh profile; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen(
            [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            session = _session(port, profile, javascript)
            try:
                yield session
            finally:
                session.close()
        finally:
            driver.terminate()
            driver.wait(timeout=20)


def _session(port, profile, javascript):
    for _ in range(100):
        try:
            return Browser(port, profile, javascript)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError("chromedriver does not answer")
