"""The site: built by its own command from the repository's pages, and a dead link is an error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import edge
from tests.technician.chromium import Browser

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BUILD = 'source deploy/site.sh; build_site "$1" "$2"'


def build(out: Path, code: str = BUILD) -> subprocess.CompletedProcess[str]:
    """Build the site into *out* with the tests' own MkDocs."""
    return subprocess.run(
        ["bash", "-c", code, "bash", sys.executable, out], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    said = build(out)
    assert 0 == said.returncode, said.stderr
    return out / edge.__version__


def test_every_page_is_in_the_menu_or_a_decision(site: Path) -> None:
    """Whoever writes a page is told to give it a place in the menu."""
    menu = yaml.safe_load((ROOT / "deploy" / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = set(re.findall(r"[\w./-]+\.md", json.dumps(menu)))
    pages = {str(path.relative_to(ROOT)) for folder in ("docs", "docs/data-protection")
             for path in (ROOT / folder).glob("*.md")}  # fmt: skip

    assert pages <= named
    assert (site / "docs" / "quick-start.html").exists()
    assert [{"version": edge.__version__, "title": edge.__version__, "aliases": []}] == json.loads(
        (site.parent / "versions.json").read_text(encoding="utf-8")
    )


def test_a_search_finds_the_page(browser: Browser, site: Path) -> None:
    """In a real browser, on a server of its own: typing what one sees finds the page that helps."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", site.parent, "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            port = re.findall(r"port (\d+)", server.stdout.readline())[0]
            page = browser.page()
            page.open(f"http://127.0.0.1:{port}/{edge.__version__}/docs/troubleshooting.html")
            page.wait("document.querySelector('[data-md-component=search-query]')")
            page.run("document.querySelector('[data-md-component=search-query]').focus()")
            page.write("hours are missing")
            page.wait("document.querySelector('.md-search-result__link')")
            found = page.run(
                "[...document.querySelectorAll('.md-search-result__link')].slice(0, 5).map(a => a.getAttribute('href'))"
            )
        finally:
            server.terminate()

    assert any("troubleshooting.html" in address for address in found)
    assert [] == [address for address in page.asked if not address.startswith((f"http://127.0.0.1:{port}/", "data:"))]


def test_a_dead_link_stops_it(tmp_path: Path) -> None:
    """A page that isn't there, and a heading that isn't there, are both found."""
    for link in ("nowhere.md", "privacy.md#no-such-heading"):
        gather = f'gather "$1"; echo "[x]({link})" >>"$1/docs/people.md"'
        dead = f'eval "$(declare -f gather_pages | sed s/gather_pages/gather/)"; gather_pages() {{ {gather}; }}'
        said = build(tmp_path / "out", BUILD.replace("build_site", f"{dead}; build_site", 1))

        assert said.returncode
        assert link.partition("#")[2] in said.stderr + said.stdout or link in said.stderr + said.stdout
