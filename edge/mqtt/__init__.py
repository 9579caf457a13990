"""The bounded connection to an MQTT broker."""
