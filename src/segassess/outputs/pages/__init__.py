"""What the pages for a browser share: `frame.html` around them, their looks (`base.css`) and their list (`list.js`).

A page is one file that needs no network. It joins `page.html`, `page.css` and `page.js` of its package with what is here and its
data, which the scripts insert as text, never as markup.
"""

import html
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote


def joined(package: str, title: str, content: Mapping[str, Any], **lines: str) -> str:
    """The page of a package as HTML, with `content` as its data; `lines` are HTML for places in its `page.html`, by name."""

    def read(where: str, name: str) -> str:
        return files(where).joinpath(name).read_text(encoding="utf-8")

    style = read(__package__, "base.css") + read(package, "page.css")
    script = read(__package__, "list.js") + read(package, "page.js")
    body = Template(read(package, "page.html")).substitute(lines)
    parts = {"title": title, "style": style, "body": body, "data": _embedded(content), "script": script}
    return Template(read(__package__, "frame.html")).substitute(parts)


def link_beside(file: str, text: str) -> str:
    """A line of HTML that leads to a page in the same folder."""
    return f'  <p class="quiet"><a href="{html.escape(quote(file))}">{html.escape(text)}</a>, in the file beside this one.</p>'


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _embedded(content: Mapping[str, Any]) -> str:
    """JSON that no text in it can break out of."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
