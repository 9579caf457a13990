"""
Every error this program raises on purpose, and the exit code that each one ends a process with.

::

    EdgeError                            1
      ConfigError (ValueError)          78   the config file can't be used; restarting can't help
      ConfigChanged                     75   in what only a new process can take up; start this process again
      SealError                         77   a process could not be sealed, or confined
      CameraError (OSError)             74
        CameraMissing                        the source can't be opened
        CameraLost                           it delivered, then stopped
        CameraClosed                    75   the shop has closed; start this process again
        ClipUntimed                     78   a clip's times can't be known; an option must say its rate
        ClipTruncated                   65   a clip ends before its time; what is there was counted
      PictureUnfit (ValueError)         74   what the camera gave isn't a picture
      DetectorError                     78
        ModelMissing (FileNotFoundError)     model file or its contract isn't there
        ModelMismatch (ValueError)           model file isn't the one its contract describes
      WireError (ValueError)            76   what came through the diode can't be a tally
        WireTruncated                        not a whole record
        WireUnexpected                       whole, but not one of ours, or not in order
          LineUnknown                        of a line that this camera doesn't have, as far as is known
        WireOutOfRange                       a field outside its bounds
        WireTooFast                          more records, or more people, than there can be
      DiodeMissing (OSError)            76   the pipe between vision and publisher isn't there
      PageUnavailable (OSError)          1   the page of `setup` or `audit` can't be served
      ReportUnwritable (OSError)        74   an audit's report, or a bundle for support, can't be kept
      VisionEnded                        *   the vision of `setup` or `audit` ended; its own exit code
      LedgerError                       74
        LedgerUnusable (OSError)             the ledger's file can't be opened or written
        LedgerFull                           no room on its disk; handled inside: readings wait in memory
        LedgerBusy                           another process holds it
        LedgerMissing (FileNotFoundError)    there is none to read yet
      PublishError                      75   handled inside: the row stays in the ledger
        BrokerUnreachable (ConnectionError)
        BrokerRefused (ConnectionError)
        PasswordFileError (OSError)     78   credentials can't be used; restarting can't help
        TlsFileError (OSError)          78   likewise, of a certificate or a key
      NameTaken                         69   another collector has connected under the same name
      ExtraMissing (ImportError)        69   a package or program that this command needs isn't installed
      MeasuringFailed                    1   the sealed process of `check` and `bench` gave no figures

Headquarters' own errors are in `edge.headquarters.errors`.

An error is data: `subject`, `cause` and `advice` are separate, and `str()` joins them as "subject: cause; advice". Code
that needs one of the three reads it, and never takes the sentence apart.

A process that is asked to stop exits with 0. Only ``edge.cli`` turns an error into a message and an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.core.config_message import ConfigMessage, join


class EdgeError(Exception):
    """
    Something this program can name, for the technician.

    Attributes:
        subject: What it is about, as in "ledger /var/lib/footfall/ledger.sqlite"; may be empty.
        cause: What is wrong.
        advice: What to do about it; empty where nobody can do anything.
        exit_code: What a process ends with that can't go on because of it.
    """

    exit_code: int = 1

    def __init__(self, cause: str, advice: str = "", *, subject: str = "") -> None:
        self.subject = subject
        self.cause = cause
        self.advice = advice
        super().__init__(str(self))

    @property
    def problem(self) -> str:
        """What is wrong with what, without the advice."""
        return join(self.subject, self.cause, "")

    def __str__(self) -> str:
        return join(self.subject, self.cause, self.advice)


class ConfigError(EdgeError, ValueError):
    """
    The config file, or an option, can't be used.

    Args:
        path: The file, or the option's name.
        messages: Every fault; text stands for a fault without more about it.
    """

    exit_code = 78

    def __init__(self, path: Path | str, messages: Sequence[ConfigMessage | str]) -> None:
        self.path = path
        self.messages = tuple(ConfigMessage(said) if isinstance(said, str) else said for said in messages)
        super().__init__("\n".join(map(str, self.messages)))


class ConfigChanged(EdgeError):
    """The config was changed in what only a new process can take up."""

    exit_code = 75

    def __init__(self, keys: Sequence[str]) -> None:
        names = ", ".join(f"`{key}`" for key in keys)
        super().__init__(f"{names} changed in the config", "restart the service to apply it")


class SealError(EdgeError):
    """The process that sees, or the publisher, could not give up what it must give up."""

    exit_code = 77


class CameraError(EdgeError, OSError):
    """The camera gives no pictures."""

    exit_code = 74

    def __init__(self, source: str, cause: str, advice: str) -> None:
        self.source = source
        super().__init__(cause, advice, subject=f"camera {source}")


class CameraMissing(CameraError):
    """The source can't be opened."""


class CameraLost(CameraError):
    """The source delivered pictures and then stopped."""


class CameraClosed(CameraError):
    """The shop has closed, and this kind of camera can only be opened by a new process."""

    exit_code = 75


class ClipUntimed(CameraError):
    """A clip's times can't be known: neither its time stamps nor its header can be believed."""

    exit_code = 78

    def __init__(self, source: str, cause: str) -> None:
        super().__init__(
            source,
            cause,
            "give its frames a second with --fps-of-clip N; as a camera's `source` use a clip with times, such as .mp4",
        )


class ClipTruncated(CameraError):
    """
    A clip ends before its time; what is there was counted.

    Args:
        source: The clip, or several, parted by commas.
        missing: How many frames are missing.
    """

    exit_code = 65

    def __init__(self, source: str, missing: int) -> None:
        self.missing = missing
        frames = "1 frame is" if missing == 1 else f"{missing} frames are"
        super().__init__(
            source,
            f"{frames} missing at its end; what is there was counted",
            "copy the clip again, or record it again: it was cut short",
        )


class PictureUnfit(EdgeError, ValueError):
    """What the camera gave isn't a picture."""

    exit_code = 74

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(
            f"a picture has (height, width, 3) bytes, not {shape} of {dtype}", "look at the camera's settings"
        )


class DetectorError(EdgeError):
    """The head model can't be used."""

    exit_code = 78


class ModelMissing(DetectorError, FileNotFoundError):
    """The model file or its contract isn't there."""

    def __init__(self, path: Path, advice: str = "install the package again or set `model:`") -> None:
        self.path = path
        super().__init__(f"{path} is not there", advice, subject="head model")


class ModelMismatch(DetectorError, ValueError):
    """The model file isn't the one that its contract describes."""

    def __init__(self, path: Path, what: str, expected: object, actual: object) -> None:
        self.path = path
        super().__init__(
            f"{what} should be {expected}, but is {actual}",
            "install the package again",
            subject=f"head model: {path}",
        )


class WireError(EdgeError, ValueError):
    """What came through the diode can't be a tally."""

    exit_code = 76


class WireTruncated(WireError):
    """Not a whole record."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"a record has {expected} bytes, got {actual}", subject="diode")


class WireUnexpected(WireError):
    """A whole record, but not one of ours or not in order."""

    def __init__(self, field: str, expected: object, actual: object) -> None:
        super().__init__(f"{field} should be {expected}, but is {actual}", subject="diode")


class LineUnknown(WireUnexpected):
    """A record of a line that this camera doesn't have, as far as is known; *at* is where in its chunk it begins."""

    def __init__(self, line: int, at: int) -> None:
        self.at = at
        super().__init__("line", "a line of this camera", line)


class WireOutOfRange(WireError):
    """A field outside its bounds."""

    def __init__(self, field: str, low: int, high: int, actual: int) -> None:
        super().__init__(f"{field} should be {low} to {high}, but is {actual}", subject="diode")


class WireTooFast(WireError):
    """More records, or more people, than there can be."""

    def __init__(self, field: str, limit: float, actual: float) -> None:
        super().__init__(f"{field} can be at most {limit:g}, but is {actual:g}", subject="diode")


class DiodeMissing(EdgeError, OSError):
    """The pipe between vision and publisher isn't there."""

    exit_code = 76

    def __init__(self, path: Path, cause: str) -> None:
        self.path = path
        super().__init__(cause, "start the publisher first, or enable footfall-diode@.socket", subject=f"diode {path}")


class PageUnavailable(EdgeError, OSError):
    """The technician's page can't be served."""

    def __init__(self, port: int, cause: str) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 can't be had: {cause}", "end the other one, or give --port", subject="page"
        )


class ReportUnwritable(EdgeError, OSError):
    """An audit's report, or a bundle for support, can't be kept."""

    exit_code = 74

    def __init__(self, path: Path, cause: str, advice: str) -> None:
        self.path = path
        super().__init__(cause, advice, subject=str(path))


class VisionEnded(EdgeError):
    """The sealed vision that was started for a technician ended by itself; it has said why."""

    def __init__(self, camera: str, code: int) -> None:
        self.exit_code = code if code > 0 else 1
        cause = f"exit code {code}" if code > 0 else f"signal {-code}"
        super().__init__(f"the vision process of {camera} ended ({cause})", "read what it said above")


class LedgerError(EdgeError):
    """The ledger can't be used."""

    exit_code = 74


class LedgerUnusable(LedgerError, OSError):
    """The ledger's file can't be opened or written."""

    def __init__(self, path: Path, cause: str) -> None:
        self.path = path
        super().__init__(cause, "look at the disk's room and at the folder's owner", subject=f"ledger {path}")


class LedgerFull(LedgerUnusable):
    """The ledger's disk has no room."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "the disk is full")


class LedgerBusy(LedgerError):
    """Another publisher holds the ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__("another publisher is running on it", "stop that one first", subject=f"ledger {path}")


class LedgerMissing(LedgerError, FileNotFoundError):
    """There is no ledger to read yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            "it isn't there yet", "start the publisher, which makes it when it first starts", subject=f"ledger {path}"
        )


class PublishError(EdgeError):
    """An hour could not be handed to the broker; its row stays in the ledger."""

    exit_code = 75


class BrokerUnreachable(PublishError, ConnectionError):
    """The wire: no answer from the broker."""

    def __init__(self, host: str, port: int, cause: str) -> None:
        super().__init__(f"broker {host}:{port} can't be reached: {cause}")


class BrokerRefused(PublishError, ConnectionError):
    """The broker said no."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.reason = reason
        super().__init__(f"broker {host}:{port} refused: {reason}")


class PasswordFileError(PublishError, OSError):
    """The broker's password file can't be used."""

    exit_code = 78

    def __init__(self, path: Path, cause: str, advice: str = "") -> None:
        self.path = path
        super().__init__(cause, advice, subject=f"password file {path}")


class TlsFileError(PublishError, OSError):
    """A certificate or a key for TLS doesn't hold what it must; *key* is its setting, as in `tls.key_file`."""

    exit_code = 78

    def __init__(self, key: str, path: Path, cause: str, advice: str) -> None:
        self.path = path
        super().__init__(cause, advice, subject=f"broker.{key} {path}")


class NameTaken(EdgeError):
    """Another collector has connected under the same name."""

    exit_code = 69

    def __init__(self, name: str) -> None:
        super().__init__(f'another collector runs under the name "{name}"', "give each its own with --name")


HEADQUARTERS_EXTRA = "pip install 'dist/footfall_edge-VERSION-py3-none-any.whl[headquarters]' (from ./deploy.sh wheel)"
"""How headquarters installs what boxes don't carry: the package is on no index."""


class ExtraMissing(EdgeError, ImportError):
    """A package or program that this command needs isn't installed."""

    exit_code = 69

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} isn't installed", f"type: {advice}")


class MeasuringFailed(EdgeError):
    """The sealed process that measures ended without figures."""
