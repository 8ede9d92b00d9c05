"""Stripe-Signature: what Stripe signs, checked against every configured secret.

Called by streams/edge/webhook.py for each request before anything else looks at the body. Every input, however
malformed, gives an answer and never an exception: a fault here must not become a 5xx. What Stripe does is at
https://docs.stripe.com/webhooks (verify manually): HMAC-SHA256 over `t.body`, one `v1` per secret while one is rolled.
"""

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum

TOLERANCE_SECONDS = 300
"""Stripe's default, here in both directions: a timestamp from the future would make a captured request replayable."""

TIMESTAMP_DIGITS_MAX = 12
"""Good until the year 33658; also keeps `int` from refusing thousands of digits with an exception."""


class SignatureFault(StrEnum):
    """Why a request is refused; the value is what the sender is told."""

    MISSING = "no Stripe-Signature header"
    MALFORMED = "the Stripe-Signature header has no readable t= and v1="
    NO_MATCH = "the signature matches none of the webhook secrets"
    OUT_OF_TOLERANCE = f"the signature's timestamp is more than {TOLERANCE_SECONDS} s off"


class SignatureVerifier:
    """Holds one prepared HMAC per secret: copying it saves hashing the key again for each request."""

    def __init__(self, secrets: Sequence[str]) -> None:
        assert secrets, "settings require a secret"
        assert all(secrets), "anyone can sign with an empty secret"
        self._macs = tuple(hmac.new(secret.encode(), digestmod=hashlib.sha256) for secret in secrets)

    def fault(self, header: str | None, body: bytes, now_seconds: float) -> SignatureFault | None:
        """None: some secret signed these bytes at about this time. The time is told only to who signed."""
        if header is None:
            return SignatureFault.MISSING
        timestamp, candidates = _parsed(header)
        if timestamp is None or not candidates:
            return SignatureFault.MALFORMED
        if not self._any_matches(timestamp, body, candidates):
            return SignatureFault.NO_MATCH
        if abs(now_seconds - int(timestamp)) > TOLERANCE_SECONDS:
            return SignatureFault.OUT_OF_TOLERANCE
        return None

    def _any_matches(self, timestamp: str, body: bytes, candidates: list[bytes]) -> bool:
        prefix = timestamp.encode() + b"."
        for prepared in self._macs:
            mac = prepared.copy()
            mac.update(prefix)
            mac.update(body)
            expected = mac.hexdigest().encode()
            for candidate in candidates:
                if hmac.compare_digest(expected, candidate):
                    return True
        return False


def signed_header(secret: str, body: bytes, timestamp_seconds: int) -> str:
    """The header that Stripe would send; for whoever plays Stripe (samples, tests)."""
    mac = hmac.new(secret.encode(), f"{timestamp_seconds}.".encode() + body, hashlib.sha256)
    return f"t={timestamp_seconds},v1={mac.hexdigest()}"


def _parsed(header: str) -> tuple[str | None, list[bytes]]:
    """The first `t` if it is a number, and every `v1`; other schemes (`v0`) are ignored.

    Values are compared as bytes, because `compare_digest` raises on non-ASCII text; the header may hold surrogates
    for bytes that are no UTF-8, which `surrogatepass` encodes like anything else.
    """
    timestamp: str | None = None
    candidates: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "v1":
            candidates.append(value.encode("utf-8", "surrogatepass"))
        elif name == "t" and timestamp is None:
            timestamp = value
    if timestamp is None or not _is_number(timestamp):
        return None, candidates
    return timestamp, candidates


def _is_number(text: str) -> bool:
    return len(text) <= TIMESTAMP_DIGITS_MAX and text.isascii() and text.isdigit()
