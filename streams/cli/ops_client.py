"""The running system as the command line reaches it: the ops API (docs/interfaces.md §2, §4)."""

from types import TracebackType
from typing import Any, Self

import aiohttp

from streams.errors import MillraceError, Unreachable, WrongSettings, WrongUsage
from streams.settings import Settings, http_url

ANSWER_SECONDS_MAX = 60.0
"""A first status may read a long log."""

_BY_EXIT_CODE: dict[int, type[MillraceError]] = {2: WrongUsage, 3: Unreachable}


class OpsClient:
    """Raises OpsAbsent where nothing listens."""

    def __init__(self, settings: Settings) -> None:
        self.url = http_url(settings.ops_host, settings.ops_port)
        headers = {"Authorization": f"Bearer {settings.ops_tokens[0]}"} if settings.ops_tokens else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str) -> dict[str, Any]:
        return await self._request("GET", path, None)

    async def post(self, path: str, document: Any) -> dict[str, Any]:
        return await self._request("POST", path, document)

    async def _request(self, method: str, path: str, document: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, self.url + path, json=document) as response:
                if response.status == 401:
                    raise WrongSettings("the ops API refuses the token: set MILLRACE_OPS_TOKENS as the server has it")
                if response.status == 404:
                    raise WrongUsage(
                        f"{self.url} has no {path}: point MILLRACE_OPS_HOST and _PORT at the `up` or `ops` role"
                    )
                answer: dict[str, Any] = await response.json(content_type=None)
                if response.status >= 400:
                    kind = _BY_EXIT_CODE.get(int(answer.get("exit_code", 3)), MillraceError)
                    raise kind(str(answer.get("error", f"the ops API answered {response.status}")))
                return answer
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise OpsAbsent(
                f"nothing answers at {self.url} ({error}): start `millrace up` or `millrace ops`, "
                "or set MILLRACE_OPS_HOST and MILLRACE_OPS_PORT"
            ) from error


class OpsAbsent(Unreachable):
    """Nothing listens at the ops address: the caller may open an embedded log itself."""
