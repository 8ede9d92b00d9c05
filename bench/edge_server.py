"""The servers that bench/edge.py compares, each in a process of its own: `python -m bench.edge_server KIND BROKER`.

It says its port, and serves on uvloop until its standard input is closed.

- bare: an aiohttp handler that reads the body and answers 200;
- naive: an aiohttp handler as one would write it, with stripe's `construct_event`, that appends to the same log;
- millrace: the edge.
"""

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import stripe
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from bench.child import say, until_ended
from processors.record import Source, Topic
from streams.edge.server import EdgeServer
from streams.log import Log, NewRecord
from streams.logging_setup import configure_logging
from streams.open_log import open_log
from streams.settings import Settings
from streams.topics import topic_name

SECRET = "whsec_only_for_benchmarks"
PATH = "/webhooks/stripe"
ANSWER = b'{"received": true}'

Append = Callable[[bytes, bytes], Awaitable[object]]


async def main(kind: str, broker: str) -> None:
    configure_logging("text", logging.ERROR)
    settings = Settings(
        broker=broker,
        topic_prefix=f"{kind}-{time.time_ns()}.",
        stripe_webhook_secrets=(SECRET,),
        stripe_livemode=False,
        edge_port=0,
    )
    async with AsyncExitStack() as parts:
        say(await STARTS[kind](settings, parts))
        await until_ended()


async def _millrace(settings: Settings, parts: AsyncExitStack) -> int:
    server = EdgeServer(settings, await _started_log(settings, parts), CollectorRegistry())
    await server.start()
    parts.push_async_callback(server.stop)
    return server.port


async def _bare(_settings: Settings, parts: AsyncExitStack) -> int:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=ANSWER, content_type="application/json")

    return await _served(answer, parts)


async def _naive(settings: Settings, parts: AsyncExitStack) -> int:
    append = await _appending(settings, parts)

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = stripe.Webhook.construct_event(body, request.headers["Stripe-Signature"], SECRET)
        except stripe.SignatureVerificationError:
            return web.Response(status=400)
        await append(event.id.encode(), body)
        return web.Response(body=ANSWER, content_type="application/json")

    return await _served(receive, parts)


async def _appending(settings: Settings, parts: AsyncExitStack) -> Append:
    """To the same topic with the same promise; on Kafka with aiokafka as it comes."""
    log = await _started_log(settings, parts)
    if settings.embedded:
        return lambda key, value: log.append(
            NewRecord(Topic.CUSTOMER_EVENTS, key, value, Source.WEBHOOK, int(time.time() * 1000))
        )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.broker.removeprefix("kafka://"), acks="all", enable_idempotence=True
    )
    await producer.start()
    parts.push_async_callback(producer.stop)
    topic = topic_name(settings, Topic.CUSTOMER_EVENTS)
    return lambda key, value: producer.send_and_wait(topic, value, key=key)


async def _started_log(settings: Settings, parts: AsyncExitStack) -> Log:
    log = open_log(settings)
    await log.start()
    parts.push_async_callback(log.stop)
    return log


async def _served(handler: Callable[[web.Request], Awaitable[web.Response]], parts: AsyncExitStack) -> int:
    application = web.Application()
    application.router.add_post(PATH, handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    parts.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


STARTS = {"bare": _bare, "naive": _naive, "millrace": _millrace}

if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
