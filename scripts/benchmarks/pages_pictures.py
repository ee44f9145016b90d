"""What `make pages-pictures` runs: a picture of every page over the demo's file, in light, in dark and on a phone, into
docs/pages/.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page

from benchmarks.browser import CHROMIUM, chromium, serving, settled, visit, visitor

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data" / "demo"
PICTURES = ROOT / "docs" / "pages"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}
PAGES = {
    "enrichments": "enrichments",
    "results-office": "results?enrichment=account-engagement",
    "results-leadspace": "results?enrichment=company-data",
    "customers": "customer",
    "customer": "customer?account=A-1009",
    "score": "score",
    "segments": "segments",
    "segment": "segments?segment=stale",
}
# A page of a phone is a long one; nobody looks at more of it in a document.
MOST_PIXELS_HIGH = {"light": 2600, "dark": 1500, "phone": 3200}


def whole(page: Page, most_high: int) -> bytes:
    """A PNG of the page, as high as what stands on it. The page scrolls within a frame, so the frame is made higher."""
    height = page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('[data-testid=stMain], [data-testid=stMain] > div')]"
        ".map(one => one.scrollHeight))"
    )
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": size["width"], "height": min(int(height) + 40, most_high)})
    settled(page)
    # Charts are drawn when they come into view.
    page.wait_for_timeout(1500)
    return page.screenshot()


def save(png: bytes, path: Path) -> None:
    """With 256 colours, which is what a page has, and a third of the bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws all pictures, or those of the pages named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", choices=[[], *PAGES], help="of these pages alone")
    parser.add_argument("--data-dir", type=Path, default=DEMO, help="where the published file lies")
    options = parser.parse_args(arguments)
    if CHROMIUM is None:
        print("error: no Chromium; install the system's package (apt-get install chromium)", file=sys.stderr)
        return 2
    if not (options.data_dir / "engagement.duckdb").exists():
        print(
            f"error: {options.data_dir.name}: nothing is published there; run `make demo` first",
            file=sys.stderr,
        )
        return 2
    PICTURES.mkdir(exist_ok=True)
    with serving(options.data_dir) as address, chromium() as browser:
        for look, settings in LOOKS.items():
            with visitor(browser, **settings) as context:
                page = context.new_page()
                for name in options.pages or PAGES:
                    visit(page, f"{address}/{PAGES[name]}")
                    path = PICTURES / f"{name}-{look}.png"
                    save(whole(page, MOST_PIXELS_HIGH[look]), path)
                    page.set_viewport_size(settings.get("viewport", {"width": 1280, "height": 900}))
                    print(f"docs/pages/{path.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
