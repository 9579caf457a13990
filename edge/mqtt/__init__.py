"""The one bounded MQTT client, for publisher, headquarters, check and demo."""
