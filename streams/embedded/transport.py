"""Faust on the embedded log: the transport behind `sqlite://`, registered as entry point in `faust.transports`.

Faust creates it; it finds the opened log as `app.event_log`. One process owns the log, so there is no group protocol:
every partition of every subscribed topic belongs to this process (consumer.py). What producer.py sends is on disk when
its future resolves.
"""

import importlib.metadata
from typing import Any, ClassVar

import faust.transport.base

from streams.embedded.consumer import Consumer
from streams.embedded.producer import Producer


class Transport(faust.transport.base.Transport):  # type: ignore[misc] # Faust is untyped
    Consumer: ClassVar[type[Any]] = Consumer
    Producer: ClassVar[type[Any]] = Producer

    default_port = 0
    driver_version = f"millrace embedded {importlib.metadata.version('faust-streaming')}"
