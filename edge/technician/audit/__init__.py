"""The audit: a person taps in and out, the box counts beside them, and what they agree on is signed."""
