"""Versions into service and out of it.

    folder --stamp, config, policy--> wanted --plan--> load beside what serves --> switch
    replaced, unloaded --its last request ends--> stop --> memory given back

A change takes over only as a whole step of the event loop, so a request meets one version or the
other. What cannot be loaded leaves what serves in its place. Versions are loaded one at a time in
a thread, because each load already takes all cores. A load cannot be broken off, so at the end of the
server its thread is left behind.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from contract.model_config import ModelConfig
from server.config_fields import refusal_of
from server.errors import LoadError, LoadFailed
from server.loader import load_version
from server.memory import give_back
from server.model import Loaded, ServedModel
from server.plan import Actions, plan
from server.runtime import Runtime
from server.sources import ModelFolder
from server.stamps import ModelStamp, VersionStamp, stamp_model
from server.version import Version
from server.version_policy import choose_versions

logger = logging.getLogger(__name__)

Params = ParamSpec("Params")
ResultT = TypeVar("ResultT")


class Lifecycle:
    """Loads and unloads the versions of models.

    Args:
        runtime: How they are run.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._turn = asyncio.Semaphore(1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._job: Future[Any] | None = None
        self._stopping = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    async def bring(
        self, model: ServedModel, folder: ModelFolder, override: ModelConfig | None = None
    ) -> LoadFailed | None:
        """Load what is new or changed of a model's folder, and let it take over.

        Args:
            model: What serves.
            folder: Its files.
            override: A configuration instead of the folder's own.

        Returns:
            Why some of it could not be loaded, in Triton's words; None if all is well.
        """
        async with model.changing, self._turn:
            if self._stopping.is_set():
                return _failed(model, "the server is stopping")
            try:
                return await self._bring(model, folder, override)
            except Exception as err:  # one model must not keep the others from loading
                logger.exception("cannot serve model=%s", model.name)
                reason = f"internal error: {err!r}"
                model.fail(reason)
                return LoadFailed(model.name, reason)

    @property
    def loading(self) -> bool:
        """Whether a load is under way in its thread."""
        return self._job is not None and not self._job.done()

    def see_off(self, model: ServedModel, versions: Mapping[int, Version]) -> None:
        """Stop versions that no new request finds, each when its last request ends."""
        for number, version in versions.items():
            task = asyncio.create_task(self._see_off(model, number, version), name="see-off")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """Stop what is leaving after the run that it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._stopping.set()
        await asyncio.gather(*self._leaving)

    async def _bring(
        self, model: ServedModel, folder: ModelFolder, override: ModelConfig | None
    ) -> LoadFailed | None:
        try:
            model.attempted = await self._in_thread(stamp_model, folder)
            config = override
            if config is None:
                config = await self._in_thread(folder.read_config)
        except (LoadError, OSError) as err:
            return _failed(model, str(err), polled=False)
        try:
            wanted = await self._in_thread(
                wanted_versions, folder, model.attempted, config, override is not None
            )
        except LoadError as err:
            return _failed(model, str(err))
        model.forget((number for number, _ in model.attempted.versions), wanted)
        actions = plan(model.stamps, wanted)
        model.begin(actions.load, wanted.keys() - actions.load)
        arrived = await self._load_all(model, folder, config, {n: wanted[n] for n in actions.load})
        reasons = self._switch(model, actions, arrived)
        if actions.load:  # which takes more memory than serving does
            await asyncio.to_thread(give_back)
        if not reasons:
            return None
        return LoadFailed(model.name, reasons, unsupported=bool(refusal_of(config)))

    async def _in_thread(
        self, job: Callable[Params, ResultT], *args: Params.args, **kwargs: Params.kwargs
    ) -> ResultT:
        """Run blocking work in the thread of the loads, which nobody waits for at the end."""
        self._job = self._thread.submit(job, *args, **kwargs)
        return await asyncio.wrap_future(self._job)

    async def _load_all(
        self,
        model: ServedModel,
        folder: ModelFolder,
        config: ModelConfig,
        wanted: Mapping[int, VersionStamp],
    ) -> dict[int, Loaded]:
        """Load versions, and note why one cannot be; those of a healthy rest are returned."""
        arrived = {}
        for number, stamp in wanted.items():
            if self._stopping.is_set():
                break
            try:
                version = await self._in_thread(load_version, folder, number, config, self._runtime)
            except LoadError as err:
                logger.warning(
                    "cannot serve model=%s version=%d reason=%s", model.name, number, err
                )
                model.fail(str(err), number)
            except Exception as err:  # one version must not keep the others from loading
                logger.exception("cannot serve model=%s version=%d", model.name, number)
                model.fail(f"internal error: {err!r}", number)
            else:
                arrived[number] = Loaded(version, stamp)
        return arrived

    def _switch(
        self, model: ServedModel, actions: Actions[int], arrived: Mapping[int, Loaded]
    ) -> str:
        """Let what arrived take over: why the rest did not, in Triton's words; empty if all did."""
        failed = [number for number in actions.load if number not in arrived]
        self.see_off(model, model.switch(arrived, () if failed else actions.unload))
        states = model.states()
        return "".join(
            f"version {number} is at UNAVAILABLE state: {states[number].reason};"
            for number in failed
        )

    async def _see_off(self, model: ServedModel, number: int, version: Version) -> None:
        waiting = [asyncio.create_task(version.idle()), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await version.stop()
        model.left(number)
        logger.info("unloaded model=%s version=%d", model.name, number)
        del version
        await asyncio.to_thread(give_back)


def _failed(model: ServedModel, reason: str, *, polled: bool = True) -> LoadFailed:
    logger.warning("cannot serve model=%s reason=%s", model.name, reason)
    model.fail(reason)
    return LoadFailed(model.name, reason, polled=polled)


def wanted_versions(
    folder: ModelFolder, stamp: ModelStamp, config: ModelConfig, overridden: bool
) -> dict[int, VersionStamp]:
    """The versions that the policy serves, and what each is to be made from.

    A configuration of a request stands in no file, so its own text goes into the stamps. Blocks.

    Raises:
        LoadError: The policy serves none of those that lie there.
    """
    made_from = stamp.by_version()
    chosen = choose_versions(config, made_from)
    if not chosen:
        lies = ", ".join(map(str, made_from)) or (
            f"none, expected {folder.path / '1'} or another whole number with no zeros before it"
        )
        raise LoadError(
            "at least one version must be available under the version policy of model "
            f"'{folder.name}'; the versions in {folder.path} are: {lies}"
        )
    text = (("override", 0, config.to_text()),) if overridden else ()
    return {number: (text + made_from[number][0], made_from[number][1]) for number in chosen}
