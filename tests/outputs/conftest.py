"""Opens the pages that segassess writes."""

import pytest


@pytest.fixture
def opened(browser):
    """Opens a page by its path; nothing it does may fail or ask the network."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    problems = []

    def load(path):
        view = context.new_page()
        view.on("pageerror", lambda error: problems.append(str(error)))
        view.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        view.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        view.goto(path.as_uri())
        return view

    yield load
    context.close()
    assert problems == []
