"""
Headquarters, as docs/headquarters.md tells it to be: a session that stays, the page's own SQL, acknowledged after the
commit. Shares no code with the box. Also keeps every message that came, so that promises on repeats can be checked.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import ssl
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PAGE = Path(__file__).parents[2] / "docs" / "headquarters.md"


def main(store: str, port: int, ca_file: str, password: str) -> int:
    """Listen for ever."""
    table, upsert, *_ = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    connection = sqlite3.connect(store, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(table)
        connection.execute("CREATE TABLE IF NOT EXISTS arrivals (topic TEXT NOT NULL, payload TEXT NOT NULL)")

    def on_connect(client: Client, *_: Any) -> None:
        client.subscribe([("footfall/v1/+/+/hour", 1), ("footfall/v1/+/+/status", 1)])

    def on_message(client: Client, _data: Any, message: MQTTMessage) -> None:
        text = message.payload.decode()
        with connection:
            connection.execute("INSERT INTO arrivals VALUES (?, ?)", (message.topic, text))
            if message.topic.endswith("/hour"):
                connection.execute(upsert, {"message": text})
        client.ack(message.mid, message.qos)

    client = Client(CallbackAPIVersion.VERSION2, "headquarters", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
    client.tls_set_context(ssl.create_default_context(cafile=ca_file))
    client.username_pw_set("headquarters", password)
    client.on_connect = on_connect
    client.on_message = on_message
    client.reconnect_delay_set(1, 1)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 1_000_000
    while True:
        with contextlib.suppress(OSError):
            client.connect("127.0.0.1", port, 10, clean_start=False, properties=properties)
            client.loop_forever()
        time.sleep(0.2)
