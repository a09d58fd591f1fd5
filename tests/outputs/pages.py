"""What tests of the pages for a browser share."""

import json
import re
from typing import Any

HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=2">&=cmd'


def content(html: str) -> Any:
    """The data of a page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


def is_without_network(html: str) -> bool:
    """Whether a page asks for nothing, and has no markup and no script but its own."""
    asks = re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(", html)
    return not asks and "<img src=x" not in html and html.count("<script") == 2


def seconds_to_show(view: Any) -> float:
    """Seconds from the navigation to a page until it has drawn two frames, by its own clock; call it at once."""
    frames = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())))"
    return float(view.evaluate(f"new Promise(done => {frames})")) / 1000
