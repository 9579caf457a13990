"""The examination as one HTML page that loads nothing."""

from __future__ import annotations

import html

from edge import __version__
from edge.technician.privacy.finding import Examination
from edge.technician.privacy.show import MARKS

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { font-size: 1.1rem; margin-top: 2rem; } table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid #ddd; padding: .3rem .6rem; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { width: 2rem; font-weight: bold; } td:nth-child(2) { width: 18rem; color: #555; }
.ok { color: #137333; } .NO { color: #c5221f; font-weight: bold; }
.verdict { padding: 1rem; font-weight: bold; color: #fff; background: #137333; } .verdict.NO { background: #c5221f; }
"""


def page(examination: Examination) -> str:
    """Return the examination as one HTML page that loads nothing."""
    escape = html.escape
    verdict = f'<p class="verdict {"NO" if examination.faults else "ok"}">{escape(examination.verdict)}</p>'
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Privacy of {escape(examination.box)}</title><style>{_STYLE}</style>",
        f"<h1>What {escape(examination.box)} can do with pictures</h1>",
        f"<p>Read from its kernel on {examination.at:%Y-%m-%d at %H:%M:%S} UTC by footfall-edge {__version__}.</p>",
        verdict,
    ]
    for section in examination.sections:
        rows = "".join(
            f'<tr><td class="{(mark := MARKS[finding.good][0].strip())}">{mark}</td>'
            f"<td>{escape(finding.what)}</td><td>{escape(finding.found)}</td></tr>"
            for finding in section.findings
        )
        parts.append(f"<h2>{escape(section.title)}</h2><table>{rows}</table>")
    return "\n".join(parts) + "\n</html>\n"
