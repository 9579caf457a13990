"""`footfall privacy`: what a sceptic can check on the box in a minute; see docs/privacy.md and docs/inspection.md."""

from edge.technician.privacy.examine import run

__all__ = ["run"]
