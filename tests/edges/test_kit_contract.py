"""The simulated Kit and our client, held to Kit's own OpenAPI document; and that the holding itself can fail."""

import inspect
import json
import re

import pytest

from streams.kit.client import KitClient
from streams.kit.simulator.journal import Entry
from streams.kit.simulator.routes import ROUTES
from tests.edges.kit_exceptions import EXCEPTIONS
from tests.edges.kit_openapi import DOCUMENT, Fault, kit_openapi
from tests.edges.kit_scenarios import journal_of_everything, journal_of_the_client

SUBSCRIBER = {
    "id": 1,
    "first_name": None,
    "email_address": "ada@example.com",
    "state": "active",
    "created_at": "2026-11-23T12:00:00Z",
}


@pytest.fixture(scope="module")
def everything() -> list[Entry]:
    return journal_of_everything()


@pytest.fixture(scope="module")
def by_client() -> tuple[list[Entry], set[str]]:
    return journal_of_the_client()


def faults_of(entry: Entry) -> list[Fault]:
    contract = kit_openapi()
    found = contract.faults_of_request(entry.method, entry.path, entry.query, entry.body) if asks_rightly(entry) else []
    if entry.status is not None:
        found += contract.faults_of_answer(entry.method, entry.path, entry.status, entry.answer)
    return found


def asks_rightly(entry: Entry) -> bool:
    """A scenario that is refused was meant to be wrong."""
    return entry.status is None or entry.status < 400


def unexpected(faults: list[Fault]) -> list[Fault]:
    return [fault for fault in faults if not any(known.covers(fault) for known in EXCEPTIONS)]


def test_every_answer_of_the_simulator_fits_kits_document(everything):
    assert [fault for entry in everything for fault in unexpected(faults_of(entry))] == []


def test_every_request_of_the_client_fits_kits_document_without_any_exception(by_client):
    contract = kit_openapi()
    entries, _ = by_client
    faults = [contract.faults_of_request(entry.method, entry.path, entry.query, entry.body) for entry in entries]
    assert [fault for found in faults for fault in found] == []
    assert all(entry.status is not None and entry.status < 300 for entry in entries)


def test_every_call_of_the_client_was_looked_at(by_client):
    _, called = by_client
    public = {
        name for name, _ in inspect.getmembers(KitClient, inspect.iscoroutinefunction) if not name.startswith("_")
    }
    assert called == public - {"close"}


def test_every_status_that_kit_documents_for_a_simulated_call_was_seen(everything):
    contract = kit_openapi()
    seen = {(contract.call_of(entry.method, entry.path), entry.status) for entry in everything}
    simulated = {contract.call_of(route.method, re.sub(r"\{\w+:\\d\+\}", "1", route.path)) for route in ROUTES}
    assert None not in simulated
    documented = {
        (call, status) for call in simulated if call for status in contract.statuses(*call.split(" ", maxsplit=1))
    }
    assert documented - seen == set()


def test_every_exception_is_still_needed_and_has_a_source(everything):
    faults = [fault for entry in everything for fault in faults_of(entry)]
    assert [known for known in EXCEPTIONS if not any(known.covers(fault) for fault in faults)] == []
    assert all(known.source.endswith(".") for known in EXCEPTIONS)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ({"subscriber": {**SUBSCRIBER, "fields": {}}, "more": 1}, "unnamed"),
        ({"subscriber": SUBSCRIBER}, "required"),
        ({"subscriber": {**SUBSCRIBER, "fields": {}, "id": "1"}}, "type"),
        ({"subscriber": {**SUBSCRIBER, "fields": {}, "email_address": None}}, "type"),
        ({"subscriber": {**SUBSCRIBER, "fields": {}, "state": "unsubscribed"}}, "enum"),
        ([], "type"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_reported(answer, rule):
    assert (
        kit_openapi().faults_of_answer("POST", "/v4/subscribers", 201, {"subscriber": {**SUBSCRIBER, "fields": {}}})
        == []
    )
    assert {fault.rule for fault in kit_openapi().faults_of_answer("POST", "/v4/subscribers", 201, answer)} == {rule}


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "rule"),
    [
        ("POST", "/v4/subscriber", {}, {"email_address": "a@b.c"}, "path"),
        ("PATCH", "/v4/subscribers/1", {}, {}, "path"),
        ("GET", "/v4/subscribers", {"email": "a@b.c"}, None, "parameter"),
        ("GET", "/v4/subscribers", {"status": "everyone"}, None, "enum"),
        ("GET", "/v4/subscribers/ada@example.com", {}, None, "type"),
        ("POST", "/v4/subscribers", {}, {"email": "a@b.c", "email_address": "a@b.c"}, "unnamed"),
        ("POST", "/v4/subscribers", {}, {"email_address": "a@b.c", "fields": {"seats": 3}}, "type"),
        ("POST", "/v4/tags", {}, None, "required"),
        ("DELETE", "/v4/tags/1/subscribers/2", {}, {"id": 2}, "content"),
        ("POST", "/v4/subscribers/filter", {}, {"all": [{"type": "mood"}]}, "enum"),  # behind two references
    ],
)
def test_a_request_of_the_wrong_shape_is_reported(method, path, query, body, rule):
    assert {fault.rule for fault in kit_openapi().faults_of_request(method, path, query, body)} == {rule}


def test_a_status_that_the_document_does_not_have_is_reported():
    assert [fault.rule for fault in kit_openapi().faults_of_answer("GET", "/v4/tags", 418, None)] == ["status"]


EXAMPLES_THAT_CONTRADICT_THEIR_SCHEMA = {"GET /v4/broadcasts/stats 403  required"}


def test_the_documents_own_examples_fit_it():
    """So the holding is not stricter than Kit's own words."""
    contract = kit_openapi()
    wrong = set()
    count = 0
    for template, operations in json.loads(DOCUMENT.read_text())["paths"].items():
        path = template.replace("{", "").replace("}", "")
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if "content" in answer:
                    example = answer["content"]["application/json"]["example"]
                    faults = contract.faults_of_answer(method.upper(), path, int(status), example)
                    wrong |= {f"{fault.call} {status} {fault.pointer} {fault.rule}" for fault in faults}
                    count += 1
    assert count >= 200
    assert wrong == EXAMPLES_THAT_CONTRADICT_THEIR_SCHEMA
