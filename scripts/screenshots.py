"""The pictures in docs/sign-in: the real page, its sign-in with the tests' Dropbox emulator behind it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image

from tests.browser_kit import Browser
from tests.emulator_kit import asked, shared_emulator
from tests.page_kit import PageHouse

FOLDER = ROOT / "docs" / "sign-in"
PHONE = {"width": 390, "height": 844, "scale": 2.0, "phone": True}
DESKTOP = {"width": 1024, "height": 768, "scale": 1.0, "phone": False}


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    emulator = shared_emulator()
    emulator.app.key = "k3y0fy0urapp123"
    emulator.cloud.people.apps = {emulator.app.key: emulator.app}
    house = PageHouse(emulator, public_url="http://localhost:8080")
    browser = Browser()

    def shoot(name: str, manner: dict[str, object], *, dark: bool) -> None:
        browser.look(dark=dark, **manner)  # type: ignore[arg-type]
        with Image.open(io.BytesIO(browser.picture(int(str(manner["width"]))))) as picture:
            picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                FOLDER / f"{name}.png", optimize=True
            )
        print(f"docs/sign-in/{name}.png")

    try:
        page = f"http://localhost:{house.port}/link/{house.begin().key}"
        browser.open(page)
        for dark, light in ((False, "light"), (True, "dark")):
            shoot(f"phone-{light}", PHONE, dark=dark)
            shoot(f"desktop-{light}", DESKTOP, dark=dark)
        browser.type("code", "an-old-code")
        browser.click("finish")
        _must(browser.result == "expired")
        shoot("phone-code-expired-light", PHONE, dark=False)
        sign_in = house.linking.current(house.node.now())
        if sign_in is not None:
            browser.type("code", emulator.allow(asked(house.linking.addresses(sign_in)[0])))
        browser.click("finish")
        _must(browser.result == "linked")
        shoot("phone-linked-dark", PHONE, dark=True)
        shoot("desktop-linked-light", DESKTOP, dark=False)
    finally:
        browser.close()
        house.close()


def _must(fact: bool) -> None:  # noqa: FBT001
    if not fact:
        sys.exit("the page does not show what it should")


if __name__ == "__main__":
    main()
