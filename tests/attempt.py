"""What a confined process tries in the tests: `OUTCOME` is put before a program's text."""

from __future__ import annotations

OUTCOME = """
    import errno

    def outcome(attempt):
        try:
            attempt()
        except OSError as exc:
            return errno.errorcode[exc.errno]
        return "done"
"""
