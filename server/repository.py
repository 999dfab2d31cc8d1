"""The models of a repository, loaded; KServe's `ModelRepository`.

Which models there are, and who may change that; how a version comes and goes is lifecycle.py's.
A folder that cannot be served is kept with its reason: the index names it, the server is not
ready, and the other models answer.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import kserve

from contract.model_config import ModelConfig
from server.errors import LoadError, LoadFailed, ModelNotFound, NotExplicit, NotPolled
from server.index import IndexRow, index_rows
from server.lifecycle import Lifecycle
from server.model import ServedModel
from server.overrides import parse_override, write_private_folder
from server.runtime import Runtime
from server.sources import ModelFolder, Source

logger = logging.getLogger(__name__)

ControlMode: TypeAlias = Literal["none", "poll", "explicit"]


@dataclass(frozen=True, slots=True)
class Control:
    """How the repository is kept, in the meaning of Triton's options.

    Attributes:
        mode: none loads all models at the start; poll also follows changes on disk; explicit
            loads what `load_models` names, and then what requests ask for.
        load_models: In explicit mode, the models to load at the start; "*" for all.
        strict_readiness: Whether the server is ready only if every model is.
        max_file_bytes: Most bytes of the files that a load request may bring.
    """

    mode: ControlMode = "none"
    load_models: tuple[str, ...] = ()
    strict_readiness: bool = True
    max_file_bytes: int = 64 * 1024 * 1024


class Repository(kserve.ModelRepository):
    """Every model of what the user named, by name.

    Args:
        source: Where the models lie.
        runtime: How they are run.
        control: How the repository is kept.
    """

    def __init__(self, source: Source, runtime: Runtime, control: Control) -> None:
        super().__init__()
        self.source = source
        self.control = control
        self.draining = False
        self._lifecycle = Lifecycle(runtime)
        self._look_thread = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._looks: set[Future[dict[str, ModelFolder]]] = set()
        self._started = False

    @property
    def ready(self) -> bool:
        """Whether the models of the start are loaded and answer, and the server is not leaving."""
        if not self._started or self.draining:
            return False
        return not self.control.strict_readiness or not self.broken()

    @property
    def loading(self) -> bool:
        """Whether a load or a look is under way, which cannot be broken off."""
        return self._lifecycle.loading or any(not look.done() for look in self._looks)

    def served(self) -> list[ServedModel]:
        """The models that are to be served, in the order of their names."""
        models = [self.models[name] for name in sorted(self.models)]
        return [model for model in models if model.wanted]

    def broken(self) -> list[ServedModel]:
        """The models that are to be served, but cannot answer."""
        return [model for model in self.served() if not model.serving]

    def find(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            ModelNotFound: There is none.
        """
        model: ServedModel | None = self.models.get(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    async def index(self, *, only_ready: bool = False) -> list[IndexRow]:
        """A row for each version of each model; one of the name alone for what was never loaded."""
        names = () if only_ready else await asyncio.to_thread(self.names_on_disk)
        return self.rows(names, only_ready=only_ready)

    def rows(self, on_disk: Iterable[str], *, only_ready: bool = False) -> list[IndexRow]:
        """The index, where the repository is known to hold models of these names."""
        return index_rows(self.models, on_disk, only_ready=only_ready)

    def names_on_disk(self) -> Iterable[str]:
        """The models that a request could load; in other modes all of them are known. It blocks."""
        if self.control.mode != "explicit":
            return ()
        try:
            return self.source.names()
        except LoadError as err:
            logger.warning("cannot list the repository reason=%s", err)
            return ()

    async def start(self) -> None:
        """Load the models of the start, so that health answers meanwhile.

        Raises:
            LoadError: The repository cannot be read.
        """
        named = None if self._loads_all else dict.fromkeys(self.control.load_models)
        folders = await self.look(named)
        names = folders.keys() if self._loads_all else self.control.load_models
        for name in sorted(names):
            self.models[name] = ServedModel(name)
        for model in self.served():
            if model.name in folders:
                await self.bring(folders[model.name])
            else:
                model.fail(str(NotPolled(model.name)))
        self._started = True
        logger.info(
            "repository mode=%s models=%d broken=%d",
            *(self.control.mode, len(self.models), len(self.broken())),
        )

    async def look(
        self, asked: Mapping[str, ModelConfig | None] | None = None
    ) -> dict[str, ModelFolder]:
        """What lies in the repository now; its thread is not waited for at the end.

        Raises:
            LoadError: The repository cannot be read.
        """
        look = self._look_thread.submit(self.source.folders, asked)
        self._looks.add(look)
        try:
            return await asyncio.wrap_future(look)
        finally:
            if look.done():
                self._looks.discard(look)

    async def load(
        self,
        name: str,
        config_json: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Load a model, or what changed of a loaded one; returns when that answers.

        Args:
            name: The model.
            config_json: A configuration instead of config.pbtxt, JSON of Triton's schema.
            files: Content by path, instead of the model's folder; needs `config_json`.

        Raises:
            NotExplicit: The mode is another.
            NotPolled: The repository has no such model.
            LoadFailed: It, or a version of it, cannot be served; the rest serves.
        """
        self._require_explicit()
        override = None
        if config_json is not None:
            override = await asyncio.to_thread(parse_override, name, config_json)
        # A client that leaves must not leave a model half loaded.
        task = asyncio.create_task(self._load(name, override, files or {}), name=f"load-{name}")
        if (failed := await asyncio.shield(task)) is not None:
            raise failed

    async def unload(self, name: str) -> None:
        """Let no request find a model any more; it stops when those under way end.

        As in Triton, a name that is not loaded is no error.

        Raises:
            NotExplicit: The mode is another.
        """
        self._require_explicit()
        model: ServedModel | None = self.models.get(name)
        if model is not None:
            async with model.changing:
                self._lifecycle.see_off(model, model.unload())
            logger.info("unloaded model=%s", name)

    async def bring(
        self, folder: ModelFolder, override: ModelConfig | None = None
    ) -> LoadFailed | None:
        """Load what is new or changed of a model; returns why some of it could not be."""
        if folder.name not in self.models:
            self.models[folder.name] = ServedModel(folder.name)
        return await self._lifecycle.bring(self.models[folder.name], folder, override)

    def drop(self, name: str) -> None:
        """Forget a model whose folder is gone; it stops when its requests end."""
        model: ServedModel = self.models.pop(name)
        self._lifecycle.see_off(model, model.unload())
        logger.info("unloaded model=%s, its folder is gone", name)

    async def stop(self) -> None:
        """Stop every model after the run that it is at."""
        self._look_thread.shutdown(wait=False, cancel_futures=True)
        self.source.stop()
        for model in self.served():
            self._lifecycle.see_off(model, model.unload())
        await self._lifecycle.stop()

    async def _load(
        self, name: str, override: ModelConfig | None, files: Mapping[str, bytes]
    ) -> LoadFailed | None:
        if not files:
            folders = await self.look({name: override})
            if name not in folders:
                raise NotPolled(name)
            return await self._bring_asked(folders[name], override)
        if override is None:
            reason = "files need a configuration beside them, parameters.config"
            raise LoadFailed(name, reason, polled=False)
        private = await asyncio.to_thread(
            write_private_folder, name, files, self.control.max_file_bytes
        )
        try:
            return await self._bring_asked(ModelFolder(name, Path(private.name)), override)
        finally:
            await asyncio.to_thread(private.cleanup)

    async def _bring_asked(
        self, folder: ModelFolder, override: ModelConfig | None
    ) -> LoadFailed | None:
        """Bring a model of a request, of which nothing is to be served if nothing came of it."""
        failed = await self.bring(folder, override)
        model: ServedModel | None = self.models.get(folder.name)
        if failed is not None and model is not None and not failed.polled and not model.versions:
            model.wanted = False
        return failed

    @property
    def _loads_all(self) -> bool:
        return self.control.mode != "explicit" or self.control.load_models == ("*",)

    def _require_explicit(self) -> None:
        if self.control.mode != "explicit":
            raise NotExplicit(self.control.mode)
