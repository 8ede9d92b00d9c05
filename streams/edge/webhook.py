"""POST /webhooks/stripe: one request in, one record in the log, 200 only once the log has acknowledged it.

Called by streams/edge/server.py for each request. The steps are bounded: the body by size and time, the append by
the log itself (APPEND_SECONDS_MAX). Everything that is decided about the bytes is decided in signatures.py and
routing.py; here is the network.
"""

import asyncio
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from processors.messages import DeadLetter, encode
from processors.record import Source, Topic
from streams.edge import answers
from streams.edge.envelope import NoEvent
from streams.edge.metrics import EdgeMetrics, Outcome
from streams.edge.routing import Accepts, Destination, Misdirected, Routed, route
from streams.edge.signatures import SignatureVerifier
from streams.errors import MillraceError
from streams.log import Log, NewRecord

BODY_SECONDS_MAX: Final = 10.0
"""Stripe sends a few kB at once; whoever trickles a body only wants to hold a connection."""

NOT_READY_SECONDS: Final = 5.0
"""After an append that failed, unless one succeeds earlier: long enough for a load balancer to notice."""

logger = structlog.get_logger(__name__)


class StripeWebhook:
    """What the log does not acknowledge in its time is answered 503, and Stripe will send it again."""

    def __init__(
        self,
        *,
        verifier: SignatureVerifier,
        accepts: Accepts,
        log: Log,
        metrics: EdgeMetrics,
    ) -> None:
        self._verifier = verifier
        self._accepts = accepts
        self._log = log
        self._metrics = metrics
        self._not_ready_until = 0.0

    def not_ready(self) -> str | None:
        """Why the edge should get no traffic now. It is tried again after a while, since only traffic can tell."""
        return (
            "the log does not acknowledge: look at the broker, or at the disk"
            if time.monotonic() < self._not_ready_until
            else None
        )

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await self._read(request)
        if isinstance(body, web.StreamResponse):
            return body
        now_seconds = time.time()
        fault = self._verifier.fault(request.headers.get("Stripe-Signature"), body, now_seconds)
        if fault is not None:
            return self._refuse(Outcome.BAD_SIGNATURE, fault.value)
        routed = route(body, self._accepts)
        if isinstance(routed, NoEvent):
            return self._refuse(Outcome.NO_EVENT, routed.reason)
        return await self._append(request, _record(routed, body, int(now_seconds * 1000)), routed)

    async def _read(self, request: web.BaseRequest) -> bytes | web.StreamResponse:
        """The raw bytes. aiohttp stops reading at the limit, and before reading anything if the length is announced."""
        if (request.content_length or 0) > request.client_max_size:
            return self._refuse_too_large(request)
        try:
            if request.content.is_eof():  # the usual case: all of it is here, and needs neither a timer nor a copy
                body = request.content.read_nowait()
                return body if len(body) <= request.client_max_size else self._refuse_too_large(request)
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse_too_large(request)
        except (TimeoutError, HttpProcessingError, web.RequestPayloadError) as error:
            reason = f"the body cannot be read: {type(error).__name__}"
            return self._refuse(Outcome.UNREADABLE, reason)

    async def _append(
        self, request: web.BaseRequest, record: NewRecord, routed: Routed | Misdirected
    ) -> web.StreamResponse:
        try:
            await self._log.append(record)
        except MillraceError as error:
            self._not_ready_until = time.monotonic() + NOT_READY_SECONDS
            self._metrics.count(Outcome.LOG_UNAVAILABLE)
            logger.warning(
                "the log did not acknowledge; Stripe will send it again",
                action="webhook_postponed",
                topic=record.topic.value,
                reason=str(error),
            )
            return answers.log_unavailable()
        self._not_ready_until = 0.0
        if isinstance(routed, Misdirected):
            self._metrics.count(Outcome.MISDIRECTED)
            logger.warning(
                "an event for someone else became a dead letter",
                action="webhook_misdirected",
                event_id=routed.event_id,
                reason=routed.reason,
            )
        else:
            self._metrics.count(Outcome.ACCEPTED)
        return answers.received(request)

    def _refuse_too_large(self, request: web.BaseRequest) -> web.StreamResponse:
        reason = f"the body is larger than {request.client_max_size} bytes (MILLRACE_EDGE_BODY_BYTES_MAX)"
        return self._refuse(Outcome.TOO_LARGE, reason, status=413)

    def _refuse(self, outcome: Outcome, reason: str, status: int = 400) -> web.StreamResponse:
        self._metrics.count(outcome)
        logger.warning("refused a webhook", action="webhook_refused", outcome=outcome.value, reason=reason)
        return answers.error(status, reason)


def _record(routed: Routed | Misdirected, body: bytes, received_ms: int) -> NewRecord:
    to = routed.destination
    if isinstance(routed, Routed):
        return NewRecord(to.topic, to.key.encode(), body, Source.WEBHOOK, received_ms)
    letter = _dead_letter(to, body, routed.reason, received_ms)
    return NewRecord(Topic.DEAD_LETTERS, to.topic.encode(), encode(letter), Source.WEBHOOK, received_ms)


def _dead_letter(to: Destination, body: bytes, reason: str, received_ms: int) -> DeadLetter:
    """Its `topic` and `key` say where the event would have gone, so that a retry can bring it there."""
    return DeadLetter(
        topic=to.topic,
        key=to.key.encode(),
        raw=body,
        reason=reason,
        source=Source.WEBHOOK,
        received_ms=received_ms,
    )
