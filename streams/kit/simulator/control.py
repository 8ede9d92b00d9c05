"""/simulator: what people and tests in other processes ask of the simulator itself. Not part of Kit.

state: what Kit holds · journal: every request · faults: to inject, as JSON of `Fault` · seed: of the faults ·
subscribers/{id}/state: what the world does to a subscriber (a bounce, a complaint).
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from streams.kit.simulator.account import SubscriberState
from streams.kit.simulator.answers import json_answer, no_content
from streams.kit.simulator.faults import Fault, Faults
from streams.kit.simulator.journal import Journal
from streams.kit.simulator.refusal import Refusal
from streams.kit.simulator.routes.reading import body_as, number
from streams.kit.simulator.snapshot import Snapshot
from streams.kit.simulator.state import KitState
from streams.kit.simulator.state_file import StateFile


class Seed(msgspec.Struct, frozen=True):
    seed: int


class NewState(msgspec.Struct, frozen=True):
    state: SubscriberState


@dataclass(frozen=True, slots=True)
class Control:
    state: KitState
    state_file: StateFile | None
    faults: Faults
    journal: Journal
    snapshot: Callable[[], Snapshot]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/simulator/state", self._show_state),
            web.get("/simulator/journal", self._show_journal),
            web.delete("/simulator/journal", self._clear_journal),
            web.get("/simulator/faults", self._show_faults),
            web.post("/simulator/faults", self._add_fault),
            web.delete("/simulator/faults", self._clear_faults),
            web.post("/simulator/seed", self._seed),
            web.post(r"/simulator/subscribers/{id:\d+}/state", self._set_state),
        ]

    async def _show_state(self, _: web.Request) -> web.Response:
        self.state.settle()
        return json_answer(200, self.snapshot())

    async def _show_journal(self, _: web.Request) -> web.Response:
        return json_answer(200, list(self.journal.entries))

    async def _clear_journal(self, _: web.Request) -> web.Response:
        self.journal.clear()
        return no_content()

    async def _show_faults(self, _: web.Request) -> web.Response:
        return json_answer(200, self.faults.rules)

    async def _add_fault(self, request: web.Request) -> web.Response:
        fault = await body_as(request, Fault)
        try:
            self.faults.add(fault)
        except ValueError as error:
            raise Refusal(422, str(error)) from error
        return json_answer(201, fault)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self.faults.clear()
        return no_content()

    async def _seed(self, request: web.Request) -> web.Response:
        self.faults.seed((await body_as(request, Seed)).seed)
        return no_content()

    async def _set_state(self, request: web.Request) -> web.Response:
        self.state.set_state(number(request, "id"), (await body_as(request, NewState)).state)
        if self.state_file is not None:
            await self.state_file.save()
        return no_content()
