"""The process that talks and can't see: diodes in, ledger, hours, MQTT out."""
