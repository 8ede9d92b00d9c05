"""The customers agent's core: one record of customer.events in; the customer's new state and its outputs out.

`advance` is the step that the agent runs (streams/worker.py): read the value → drop duplicates → fold (evolve.py) →
decide (decide.py). Pure: time is the record's.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from processors.catalogue.document import compile_document
from processors.catalogue.faults import Faults
from processors.catalogue.rules import Catalogue
from processors.customer import changes, evolve
from processors.customer.changes import Disposition
from processors.customer.decide import decide
from processors.customer.facts import Facts
from processors.customer.objects import Event
from processors.customer.reading import Unreadable, read_value, reason_of
from processors.customer.state import NEW, AppliedCatalogue, Customer, CustomersState
from processors.ids import CustomerKey, catalogue_key
from processors.messages import UNREADABLE, CatalogueApplied, CustomersReconsidered, Reconsider
from processors.record import Advanced, Record, View


def advance(view: View[CustomersState], record: Record) -> Advanced[CustomersState]:
    """Never raises for what the record holds: what cannot be read becomes a dead letter, and the state goes on."""
    message = read_value(record.value)
    if isinstance(message, CatalogueApplied):
        return _applied(record, message)
    if isinstance(message, CustomersReconsidered):
        return _settled(view, record, message)
    key = CustomerKey(record.key.decode(errors="backslashreplace"))
    known = view.get(key) or NEW
    if not isinstance(known, Customer):
        return Advanced(key, None, changes.unreadable(key, record, "The key is that of a catalogue."))
    customer = replace(known, now_ms=max(known.now_ms, record.received_ms), last_offset=record.offset)
    case = _Case(key, record, _catalogue(view, record.partition))
    match message:
        case Event():
            return _with_event(case, customer, message)
        case Reconsider():
            return _decided(case, customer, customer.facts)
        case Unreadable():
            return Advanced(key, customer, changes.unreadable(key, record, message.reason))
        case _:
            assert_never(message)


class _Case(msgspec.Struct, frozen=True):
    """`catalogue` None: none is applied yet. Facts are folded, nothing is decided, nothing is noted as done."""

    key: CustomerKey
    record: Record
    catalogue: Catalogue | None


def _applied(record: Record, message: CatalogueApplied) -> Advanced[CustomersState]:
    """One that is no catalogue must not take the place of the one that is: every later record would fail by it."""
    key = catalogue_key(record.partition)
    try:
        compile_document(message.document, message.version)
    except Faults as faults:
        return Advanced(key, None, changes.unreadable(CustomerKey(key), record, str(faults)))
    state = AppliedCatalogue(last_offset=record.offset, version=message.version, document=message.document)
    return Advanced(key, state)


def _settled(view: View[CustomersState], record: Record, message: CustomersReconsidered) -> Advanced[CustomersState]:
    key = catalogue_key(record.partition)
    applied = view.get(key)
    if not isinstance(applied, AppliedCatalogue) or applied.version != message.version:
        return Advanced(key, None)  # a newer catalogue has come in between
    return Advanced(key, replace(applied, last_offset=record.offset, settled=True))


def _catalogue(view: View[CustomersState], partition: int) -> Catalogue | None:
    applied = view.get(catalogue_key(partition))
    return compile_document(applied.document, applied.version) if isinstance(applied, AppliedCatalogue) else None


def _with_event(case: _Case, customer: Customer, event: Event) -> Advanced[CustomersState]:
    key, record = case.key, case.record
    if customer.recent.contains(event.id, customer.now_ms):
        return Advanced(key, customer, (changes.changed(key, record, Disposition.DUPLICATE, event),))
    try:
        facts = evolve.evolve(customer.facts, event)
    except UNREADABLE as fault:
        # Its id is not remembered: once it can be read, a retry from the dead letters must not pass for a duplicate.
        return Advanced(key, customer, changes.unreadable(key, record, reason_of(fault), event))
    customer = replace(customer, recent=customer.recent.added(event.id, customer.now_ms))
    if not evolve.is_read(event):
        return Advanced(key, customer, (changes.changed(key, record, Disposition.IGNORED, event),))
    if facts is customer.facts:
        return Advanced(key, customer, (changes.changed(key, record, Disposition.PROCESSED, event),))
    return _decided(case, customer, facts, event)


def _decided(case: _Case, customer: Customer, facts: Facts, event: Event | None = None) -> Advanced[CustomersState]:
    """The facts as they are (Reconsider): states only, nothing happens anew."""
    key, record, catalogue = case.key, case.record, case.catalogue
    if catalogue is None:
        state = replace(customer, facts=facts)
        return Advanced(key, state, (changes.changed(key, record, Disposition.PROCESSED, event),))
    decision = decide(
        key,
        customer.facts,
        facts,
        customer.decided,
        catalogue,
        decided_by=customer.catalogue,
        version=record.offset,
    )
    state = replace(customer, facts=facts, decided=decision.decided, catalogue=catalogue.version)
    return Advanced(key, state, changes.outputs(key, record, decision, catalogue, event))
