"""
Fills the HTML templates. Every value is escaped, and a value that a template misses is an error. A template for plain
text, whose name ends in .txt, escapes nothing.

A *page* is served by `edge.web.server` and loads the style sheet and its scripts from there. A *document* is a file
that someone keeps or sends by mail: it holds the style sheet and loads nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

FOLDER = Path(__file__).parent
STYLE = FOLDER / "style.css"


def render(template: str, **values: object) -> str:
    """
    Return a template as HTML, or as text if its name ends in .txt.

    Args:
        template: Name of a file in `edge/web/templates`.
        values: The template's variables. Only a `markupsafe.Markup`, such as a chart, is not escaped.

    Raises:
        jinja2.UndefinedError: the template uses a variable that *values* does not hold.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["language"] = "en"
    # Ours alone, and read once: no value from outside ever becomes part of it.
    environment.globals["style"] = Markup(STYLE.read_text(encoding="utf-8"))  # noqa: S704
    return environment
