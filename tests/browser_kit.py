"""A real Chromium without a window. Tests that use it are skipped where Debian's chromium and driver are missing."""

from __future__ import annotations

import base64
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--ignore-certificate-errors",  # the emulator's authority is its own
    "--host-resolver-rules=MAP evil.example 127.0.0.1,MAP *.evil.example 127.0.0.1",
)


class Browser:
    """What a person does and sees."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        self._driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        self._driver.set_page_load_timeout(60)

    def open(self, address: str) -> None:
        """Type an address."""
        self._driver.get(address)

    def find(self, element_id: str, seconds: float = 30) -> WebElement:
        """An element of the page, waited for."""
        return WebDriverWait(self._driver, seconds).until(lambda driver: driver.find_element(By.ID, element_id))

    def has(self, element_id: str) -> bool:
        """Whether it is on the page now."""
        return bool(self._driver.find_elements(By.ID, element_id))

    def click(self, element_id: str) -> None:
        """Press it."""
        self.find(element_id).click()

    def type(self, element_id: str, text: str) -> None:
        """Write into a box."""
        self.find(element_id).send_keys(text)

    @property
    def result(self) -> str:
        """The result that the page shows."""
        return str(self.find("result").get_attribute("data-result"))

    @property
    def text(self) -> str:
        """What can be read."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    @property
    def address(self) -> str:
        """Where the browser is."""
        return self._driver.current_url

    def href(self, element_id: str) -> str:
        """Where a link leads."""
        return str(self.find(element_id).get_attribute("href"))

    def loaded(self) -> list[str]:
        """What the page loaded beside itself."""
        found: list[str] = self._driver.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        return found

    def cookies(self) -> list[Any]:
        """Cookies of the page, and what it stored."""
        stored = self._driver.execute_script("return Object.keys(localStorage).concat(Object.keys(sessionStorage))")
        return [*self._driver.get_cookies(), *stored]

    def complaints(self) -> list[str]:
        """What the browser's console says of broken rules."""
        said = [str(line["message"]) for line in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return [line for line in said if "status of" not in line]

    def look(self, *, width: int, height: int, dark: bool, scale: float = 1.0, phone: bool = False) -> None:
        """The window, the eye and the light."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        light = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})

    def too_wide(self) -> bool:
        """Whether one would have to scroll sideways."""
        root = "document.documentElement"
        return bool(self._driver.execute_script(f"return {root}.scrollWidth > {root}.clientWidth"))

    def picture(self, width: int) -> bytes:
        """The whole page as PNG."""
        height = self._driver.execute_script("return document.body.getBoundingClientRect().height")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        return base64.b64decode(shot["data"])

    def close(self) -> None:
        """Away with it."""
        self._driver.quit()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: no cookies, so nothing is carried over."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium or chromedriver is missing")
    made = Browser()
    yield made
    made.close()
