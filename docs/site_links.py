"""Hook of mkdocs: pages of the repository's root in the site, and links that leave ``docs/``.

README and its neighbours become pages. A link to any other file outside ``docs/`` works where the
repository is read; in the site it becomes its text. A link to no file stops the build.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {
    "README.md": "about/readme.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "CHANGELOG.md": "about/changelog.md",
}  # place in the site by place in the repository
ROW_CODE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")  # bars in the code of a table, escaped for GitHub
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for name, place in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to places in the site.

    Raises:
        FileNotFoundError: the file that a link names does not exist.
    """
    place = page.file.src_uri
    source = {site: name for name, site in ROOT_PAGES.items()}.get(place, f"docs/{place}")

    def moved(link: re.Match[str]) -> str:
        mark, text, address, anchor = link.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
        if not (ROOT / target).exists():
            raise FileNotFoundError(f"{source} links to {target}, which does not exist")
        if target in ROOT_PAGES or target.startswith("docs/"):
            there = ROOT_PAGES.get(target, target.removeprefix("docs/"))
            return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(place))}{anchor})"
        return text

    return ROW_CODE.sub(lambda code: code[0].replace(r"\|", "|"), LINK.sub(moved, markdown))
