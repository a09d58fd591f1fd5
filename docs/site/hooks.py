"""What the site shows of the repository beyond docs/, without a second copy of it.

Pages written elsewhere (model card, changelog, contributing) become pages of the site; `<!-- FILE: HEADING -->` in a page stands
for that section of that file; each room of the package gets a page of its modules, which mkdocstrings fills.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "segassess"
# File in the repository: page of the site.
ELSEWHERE = {
    "checkpoints/README.md": "model-card.md",
    "checkpoints/twin_intact/README.md": "model-card-intact.md",
    "checkpoints/twin_long/README.md": "model-card-long.md",
    "checkpoints/twin_wide/README.md": "model-card-wide.md",
    "checkpoints/twin_more/README.md": "model-card-more.md",
    "checkpoints/twin_start/README.md": "model-card-start.md",
    "checkpoints/compact/README.md": "model-card-compact.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
# What is no page of its own on the site.
INSTEAD = {"README.md": "index.md", "docs/decisions/": "decisions/0001-options-are-dataclasses.md"}
LINK = re.compile(r"(\]\()([^)#\s]+)")
SECTION = re.compile(r"^<!-- (\S+): (.+) -->$", re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for page, content in package_pages().items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in sections of other files, and turn links into the repository into links of the site."""
    uri = page.file.src_uri
    written = {page: source for source, page in ELSEWHERE.items()}.get(uri, f"docs/{uri}")
    markdown = SECTION.sub(lambda match: relinked(section(*match.groups()), match[1], uri), markdown)
    return relinked(markdown, written, uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A mean and its deviation stay on one line."""
    return html.replace(" ± ", "\u00a0±\u00a0")


def section(file: str, heading: str) -> str:
    """The text of a Markdown file below a heading, up to the next one.

    Raises:
        ValueError: if there is no such heading.
    """
    text = re.sub(r"^```.*?^```", lambda block: block[0].replace("\n#", "\n\0"), (ROOT / file).read_text(), flags=re.M | re.S)
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    if found is None:
        raise ValueError(f"{file} has no heading {heading!r}.")
    return found[2].replace("\0", "#").strip()


def relinked(markdown: str, written: str, shown: str) -> str:
    """Markdown whose relative links hold on the site.

    Args:
        markdown: of a file of the repository.
        written: path of that file in the repository.
        shown: path of the page in docs/ that shows it.
    """

    def link(match: re.Match[str]) -> str:
        if "://" in match[2]:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(written), match[2]))
        target += "/" * match[2].endswith("/")
        place = {**ELSEWHERE, **INSTEAD}.get(target, target.removeprefix("docs/"))
        return match[1] + posixpath.relpath(place, posixpath.dirname(shown) or ".")

    return LINK.sub(link, markdown)


def package_pages() -> dict[str, str]:
    """A page per room of the package, and one of the modules beside them: path in docs/ to Markdown."""
    modules: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] in ("__init__", "__main__"):
            parts = parts[:-1] if path.read_text().strip() and parts[-1] == "__init__" else ()
        if parts:
            room = parts[0] if (PACKAGE / parts[0]).is_dir() or parts[0] == "quality" else "beside"
            modules.setdefault(room, []).append(".".join(("segassess", *parts)))
    pages = {}
    for room, names in modules.items():
        title = "Beside the rooms" if room == "beside" else f"segassess.{room}"
        body = "\n\n".join(f"::: {name}\n    options:\n      show_submodules: false" for name in names)
        pages[f"package/{room}.md"] = f"# {title}\n\n{body}\n"
    return pages
