"""Other versions of Footfall, copies of this checkout with something changed or broken; and eyes that count much."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Version:
    """A copy of the checkout, with a number of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing: list[str | Path] = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, check=True, capture_output=True).stdout.split(b"\0")
        for name in filter(None, names):
            source = ROOT / os.fsdecode(name)
            if source.is_file():
                target = folder / os.fsdecode(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        # The wheels that were gathered already.
        stage = ROOT / "build" / "stage" / "wheels"
        if stage.is_dir():
            shutil.copytree(stage, folder / "build" / "stage" / "wheels", copy_function=os.link)

    def set(self, number: str) -> None:
        """Make everything as in the checkout, but for the version's number."""
        for name in ("edge", "models", "systemd"):
            for source in (ROOT / name).rglob("*"):
                target = self.folder / name / source.relative_to(ROOT / name)
                if source.is_file() and target.exists() and target.read_bytes() != source.read_bytes():
                    shutil.copy2(source, target)
        self.change("edge/__init__.py", r'__version__ = ".*"', f'__version__ = "{number}"')

    def change(self, path: str, pattern: str, new: str) -> None:
        """Replace the one place that *pattern* matches."""
        file = self.folder / path
        text, count = re.subn(pattern, lambda _: new, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count == 1, f"{path}: {pattern} matches {count} times"
        file.write_text(text, encoding="utf-8")

    @property
    def script(self) -> Path:
        """Its deploy.sh."""
        return self.folder / "deploy.sh"


def give_eyes(folder: Path) -> None:
    """Put the demo clip into *folder*, and a model that counts rather too much: what matters here is to lose none."""
    folder.mkdir()
    models = ROOT / "models"
    for name in ("head.tflite", "demo/door.mp4"):
        shutil.copy(models / name, folder)
    contract = json.loads((models / "head.json").read_text(encoding="utf-8"))
    contract["thresholds"] = {"strong": 0.25, "weak": 0.12}
    (folder / "head.json").write_text(json.dumps(contract), encoding="utf-8")
