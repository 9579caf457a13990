"""The commands: each module owns the options of a group of commands, and the call behind each."""
