"""What counts as signed by Stripe, and that nothing anybody sends makes the check itself fail."""

import hashlib
import hmac

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.signatures import TOLERANCE_SECONDS, SignatureFault, SignatureVerifier, signed_header

SECRET = "whsec_one"
OTHER = "whsec_two"
NOW = 1_750_000_000
BODY = b'{"id": "evt_1", "object": "event"}'


def fault(header, body=BODY, now=NOW, secrets=(SECRET,)):
    return SignatureVerifier(secrets).fault(header, body, now)


def v1(secret=SECRET, body=BODY, timestamp=NOW):
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_a_signature_made_with_openssl_matches():
    # printf '1492774577.{"id": "evt_1", "object": "event"}' | openssl dgst -sha256 -hmac whsec_test_secret
    header = "t=1492774577,v1=09357d4fb8d9eba6f07fdea6b2428fa819063ec7bb7f9eca18b88cf0ff729476"
    assert fault(header, now=1492774577, secrets=("whsec_test_secret",)) is None


def test_what_we_sign_is_what_stripes_own_library_accepts():
    header = signed_header(SECRET, BODY, NOW)
    assert stripe.WebhookSignature.verify_header(BODY.decode(), header, SECRET, tolerance=None)
    assert fault(header) is None


def test_what_stripes_own_library_signs_is_accepted():
    payload = f"{NOW}.{BODY.decode()}"
    signature = stripe.WebhookSignature._compute_signature(payload, SECRET)
    assert fault(f"t={NOW},v1={signature}") is None


def test_any_configured_secret_may_match():
    assert fault(signed_header(OTHER, BODY, NOW), secrets=(SECRET, OTHER)) is None
    assert fault(signed_header(OTHER, BODY, NOW), secrets=(SECRET,)) is SignatureFault.NO_MATCH


def test_one_of_several_v1_values_is_enough_wherever_it_stands():
    wrong = "0" * 64
    assert fault(f"t={NOW},v1={wrong},v1={v1()}") is None
    assert fault(f"t={NOW},v1={v1()},v1={wrong}") is None
    assert fault(f"v1={v1()},t={NOW}") is None


def test_other_schemes_are_ignored():
    assert fault(f"t={NOW},v0={v1()}") is SignatureFault.MALFORMED
    assert fault(f"t={NOW},v0=é,v2=x,v1={v1()}") is None


def test_the_tolerance_holds_in_both_directions():
    header = signed_header(SECRET, BODY, NOW)
    for off in (-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS):
        assert fault(header, now=NOW + off) is None
    for off in (-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1):
        assert fault(header, now=NOW + off) is SignatureFault.OUT_OF_TOLERANCE


def test_who_did_not_sign_learns_nothing_of_the_clock():
    assert fault(f"t={NOW - 10_000},v1={'0' * 64}") is SignatureFault.NO_MATCH


def test_a_changed_body_or_timestamp_does_not_match():
    assert fault(signed_header(SECRET, BODY, NOW), body=BODY + b" ") is SignatureFault.NO_MATCH
    assert fault(f"t={NOW + 1},v1={v1()}") is SignatureFault.NO_MATCH


def test_the_signature_is_over_the_raw_bytes_whatever_they_are():
    body = b"\xff\xfe\x00not utf-8"
    assert fault(signed_header(SECRET, body, NOW), body=body) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, SignatureFault.MISSING),
        ("", SignatureFault.MALFORMED),
        (",,,===", SignatureFault.MALFORMED),
        (f"t={NOW}", SignatureFault.MALFORMED),
        (f"v1={v1()}", SignatureFault.MALFORMED),
        (f"t=,v1={v1()}", SignatureFault.MALFORMED),
        (f"t=now,v1={v1()}", SignatureFault.MALFORMED),
        (f"t=-{NOW},v1={v1()}", SignatureFault.MALFORMED),
        (f"t={NOW}.5,v1={v1()}", SignatureFault.MALFORMED),
        (f"t=\u0661\u0667\u0665\u0660,v1={v1()}", SignatureFault.MALFORMED),
        (f"t={'9' * 5000},v1={v1()}", SignatureFault.MALFORMED),
        (f"T={NOW},V1={v1()}", SignatureFault.MALFORMED),
        (f"t=1,t={NOW},v1={v1()}", SignatureFault.NO_MATCH),
        (f"t={NOW},v1=", SignatureFault.NO_MATCH),
        (f"t={NOW},v1=é", SignatureFault.NO_MATCH),
        (f"t={NOW},v1=\udcff", SignatureFault.NO_MATCH),
        (f"t={NOW},v1={v1()}0", SignatureFault.NO_MATCH),
        (f"t={NOW},v1={v1().upper()}", SignatureFault.NO_MATCH),
    ],
)
def test_a_header_that_is_not_stripes_is_refused_with_its_reason(header, expected):
    assert fault(header) is expected


@given(header=st.none() | st.text(st.characters(exclude_categories=())), body=st.binary())
def test_no_header_and_no_body_makes_the_check_raise(header, body):
    assert fault(header, body) is not None


@given(value=st.text(st.characters(exclude_categories=())), timestamp=st.text(), body=st.binary())
def test_no_value_of_t_or_v1_makes_the_check_raise(value, timestamp, body):
    assert fault(f"t={timestamp},v1={value}", body) is not None


@given(body=st.binary())
def test_every_body_that_we_sign_is_accepted(body):
    assert fault(signed_header(SECRET, body, NOW), body) is None
