"""The other end: collecting, watching, reporting, rehearsing. Boxes don't carry what it needs beyond the message."""
