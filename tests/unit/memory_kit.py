"""Kit in a few dictionaries, for pure tests of the subscribers core: requests in, results out, every request kept."""

from dataclasses import dataclass, field

from processors.messages import AddTag, AddToSequence, Done, Rejected, RemoveTag, Request, Result, Upsert


@dataclass
class Person:
    id: int
    state: str
    tags: set[str] = field(default_factory=set)
    fields: dict[str, str] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)


@dataclass
class MemoryKit:
    """The account's names, and its people by email. It is also the `Names` of plans."""

    tags: dict[str, int] = field(default_factory=lambda: {"customer": 1, "pro-member": 2, "atlas-owner": 3, "vip": 4})
    fields: dict[str, str] = field(default_factory=lambda: {f"field {n}": f"field_{n}" for n in range(25)})
    sequences: dict[str, int] = field(default_factory=lambda: {"welcome": 7, "thank you": 8})
    people: dict[str, Person] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    """Keys of fields that are no more."""

    def tag_id(self, name: str) -> int | None:
        return self.tags.get(name.casefold())

    def field_key(self, label: str) -> str | None:
        return self.fields.get(label.casefold())

    def sequence_id(self, name_or_id: str) -> int | None:
        return self.sequences.get(name_or_id.casefold())

    def answer(self, request: Request) -> Result:
        self.requests.append(request)
        match request:
            case Upsert():
                return self._upsert(request)
            case AddTag():
                if (person := self.people.get(request.email)) is None:
                    return Rejected(status=404, message="Not Found")
                person.tags.add(self._tag_name(request.tag_id))
                return Done(status=201)
            case RemoveTag():
                name = self._tag_name(request.tag_id)
                person = next((p for p in self.people.values() if p.id == request.subscriber_id), None)
                if person is None or name not in person.tags:
                    return Rejected(status=404, message="Not Found")
                person.tags.remove(name)
                return Done(status=204)
            case AddToSequence():
                if (person := self.people.get(request.email)) is None:
                    return Rejected(status=404, message="Not Found")
                person.sequences.append(request.sequence_id)
                return Done(status=201)

    def _upsert(self, request: Upsert) -> Done:
        new = request.email not in self.people
        person = self.people.setdefault(request.email, Person(100 + len(self.people), request.create_as))
        person.fields |= {key: value for key, value in request.fields.items() if key not in self.ignored}
        ignored = tuple(key for key in request.fields if key in self.ignored)
        return Done(status=201 if new else 200, subscriber_id=person.id, state=person.state, ignored=ignored)

    def _tag_name(self, tag_id: int) -> str:
        return next(name for name, known in self.tags.items() if known == tag_id)
