"""The documentation site: it builds strictly, no link is broken, and it needs no network."""

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT

pytest.importorskip("mkdocs", reason="the site needs pip install 'segassess[docs]'")
# What a browser fetches of itself.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """Links, what is fetched, and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.fetched, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif values.get(FETCHED.get(tag, "")):
            self.fetched.append(values[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def aim(site, page, link):
    """File and anchor that a link of a page leads to; None if it leaves the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    # Only the page of errors, which a server shows anywhere, names places from the root.
    place = (site / path.lstrip("/") if path.startswith("/") else page.parent / path) if path else page
    return (place / "index.html" if place.is_dir() else place).resolve(), unquote(parts.fragment)


def test_no_link_and_no_anchor_is_broken(site, pages):
    broken = []
    for page, content in pages.items():
        for link in content.links + content.fetched:
            aimed = aim(site, page, link)
            if aimed is None:
                continue
            place, anchor = aimed
            if not place.is_file() or (anchor and place in pages and anchor not in pages[place].anchors | {"__top"}):
                broken.append(f"{page.relative_to(site)}: {link}")
            assert page.name == "404.html" or not link.startswith("/")
    assert broken == [] and sum(len(content.links) for content in pages.values()) > 1000


def test_nothing_is_fetched_from_the_network(site, pages):
    fetched = [link for content in pages.values() for link in content.fetched]
    assert fetched and not [link for link in fetched if urlsplit(link).netloc]
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_every_file_of_the_docs_is_a_page_and_so_is_what_is_written_elsewhere(site, pages):
    for path in (ROOT / "docs").rglob("*.md"):
        assert (site / path.relative_to(ROOT / "docs")).with_suffix(".html") in pages, path
    assert "twin_lite0.safetensors" in (site / "model-card.html").read_text()
    assert "Unreleased" in (site / "changelog.html").read_text()
    assert "where is it wrong?" in (site / "index.html").read_text(), "the README's opening"
    assert "<!-- README" not in (site / "architecture.html").read_text()


def test_every_public_module_is_in_the_reference(pages):
    anchors = set().union(*(content.anchors for content in pages.values()))
    for path in (ROOT / "src" / "segassess").rglob("*.py"):
        if path.name != "__init__.py" and not path.name.startswith("_"):
            module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            assert module in anchors, module


def test_places_that_the_architecture_names_exist():
    named = re.findall(r"`((?:\w+/)*\w+\.py|\w+/)`", (ROOT / "docs" / "architecture.md").read_text())
    package = ROOT / "src" / "segassess"
    assert len(named) > 15 and [place for place in named if not (package / place).exists() and not (ROOT / place).exists()] == []


def test_drawings_are_what_their_script_draws():
    script = ROOT / "docs" / "images" / "drawings.py"
    drawings = runpy.run_path(str(script))["DRAWINGS"]
    assert {path.stem for path in script.parent.glob("*.svg")} == set(drawings)
    for name, draw in drawings.items():
        assert (script.parent / f"{name}.svg").read_text() == draw().svg, f"{name}.svg: run python docs/images/drawings.py"


@pytest.fixture
def view(browser):
    """A page on which nothing may fail or ask the network."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    problems = []
    view = context.new_page()
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    yield view
    context.close()
    assert problems == []


@pytest.mark.parametrize("page", ["index", "how-to/check-a-layer", "method", "results", "command-lines", "package/models"])
def test_a_phone_does_not_scroll_sideways(view, site, page):
    view.goto((site / f"{page}.html").as_uri())
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    assert view.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_search_works_on_files(view, site):
    view.set_viewport_size({"width": 1400, "height": 900})
    view.goto((site / "how-to" / "add-a-baseline.html").as_uri())
    view.click("input.md-search__input")
    view.keyboard.type("calibration")
    view.wait_for_selector(".md-search-result__item a[href*='method.html']", state="attached", timeout=10_000)


def test_hooks_say_which_heading_is_missing():
    section = runpy.run_path(str(ROOT / "docs" / "site" / "hooks.py"))["section"]
    assert section("README.md", "Two commands").startswith("You need CPython")
    with pytest.raises(ValueError, match=r"README\.md has no heading 'Three commands'"):
        section("README.md", "Three commands")
