"""The models of a repository, loaded; KServe's `ModelRepository`.

A folder that cannot be served is kept with its reason: the index names it, the server is not
ready, and the other models answer.
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import kserve

from contract.errors import ContractError
from contract.model_config import CONFIG_FILE, ModelConfig, read_model_config
from contract.repository import list_model_dirs, list_versions
from server.decoder import Decoder
from server.errors import LoadError, ModelNotFound
from server.model import ServedModel
from server.version import Engine, Version, load_version

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A line of the repository index, with Triton's states."""

    name: str
    version: str
    state: str
    reason: str


class Repository(kserve.ModelRepository):
    """Every model of a repository folder, by name.

    Args:
        sources: The folder of each model, by name.
        engine: How they are run.
        decoder: Decodes the pictures of their requests.
    """

    def __init__(self, sources: dict[str, Path], engine: Engine, decoder: Decoder) -> None:
        super().__init__()
        self._sources = sources
        self._engine = engine
        self._loaded = False
        self.draining = False
        for name in sources:
            self.update(ServedModel(name, decoder))

    @property
    def ready(self) -> bool:
        """Whether every model is loaded, warmed up and answering, and the server is not leaving."""
        return self._loaded and not self.draining and all(m.serving for m in self.served())

    def served(self) -> list[ServedModel]:
        """The models in the order of their names."""
        return [self.models[name] for name in sorted(self.models)]

    def find(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            ModelNotFound: There is none.
        """
        model: ServedModel | None = self.models.get(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    async def load_all(self) -> None:
        """Load every model in a thread, one after the other, so that health answers meanwhile."""
        for model in self.served():
            await self._load_one(model)
        self._loaded = True
        serving = sum(model.serving for model in self.served())
        logger.info("repository models=%d serving=%d", len(self.models), serving)

    async def stop(self) -> None:
        """Stop every model after the run that it is at."""
        for model in self.served():
            await model.stop_versions()

    def index(self, *, only_ready: bool = False) -> list[IndexRow]:
        """Name, version, state and reason of each model."""
        rows = [row for model in self.served() for row in _index_rows(model)]
        return [row for row in rows if row.state == "READY" or not only_ready]

    async def _load_one(self, model: ServedModel) -> None:
        try:
            version = await asyncio.to_thread(
                load_newest, self._sources[model.name], model.name, self._engine
            )
        except LoadError as err:
            logger.warning("cannot serve model=%s reason=%s", model.name, err)
            model.fail(str(err))
        except Exception as err:  # one model's folder must not keep the others from loading
            logger.exception("cannot serve model=%s", model.name)
            model.fail(f"internal error: {err!r}")
        else:
            model.add(version)


def find_models(
    repository: Path | None, model_dir: Path | None, name: str | None
) -> dict[str, Path]:
    """The folder of each model to serve, by name.

    Args:
        repository: A folder of model folders, or None.
        model_dir: One model's folder, or a repository, as KServe mounts either; or None.
        name: The name for the one model of `model_dir`; its config's own, if None.

    Raises:
        LoadError: The folder holds neither a model nor models.
    """
    root = repository or model_dir
    if root is None or not root.is_dir():
        raise LoadError(f"{root} is not a folder; expected a model repository or a model's folder")
    if model_dir is not None and _is_model(model_dir):
        return {name or _config_name(model_dir): model_dir}
    if _is_model(root):
        raise LoadError(
            f"{root} is one model's folder; give it as --model_dir, or its parent folder"
        )
    try:
        models = {path.name: path for path in list_model_dirs(root)}
    except ContractError as err:
        raise LoadError(str(err)) from err
    if name is not None and len(models) == 1:
        return {name: next(iter(models.values()))}
    if not models:
        logger.warning("repository=%s holds no model; nothing will be served", root)
    return models


def load_newest(model_dir: Path, name: str, engine: Engine) -> Version:
    """Load the newest version of a model under `name`; blocks.

    Raises:
        LoadError: It cannot be served; the message says why.
    """
    try:
        config = read_model_config(model_dir)
    except ContractError as err:
        raise LoadError(str(err)) from err
    versions = list_versions(model_dir)
    if not versions:
        raise LoadError(f"{model_dir} holds no version folder; expected {model_dir / '1'}")
    return load_version(model_dir, versions[-1], config.renamed(name), engine)


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file()


def _config_name(model_dir: Path) -> str:
    try:
        config: ModelConfig = read_model_config(model_dir)
    except ContractError as err:
        raise LoadError(str(err)) from err
    return config.name


def _index_rows(model: ServedModel) -> list[IndexRow]:
    if not model.versions:
        state = "LOADING" if model.reason == "loading" else "UNAVAILABLE"
        return [IndexRow(model.name, "", state, model.reason)]
    return [
        IndexRow(
            name=model.name,
            version=str(number),
            state="READY" if version.alive else "UNAVAILABLE",
            reason="" if version.alive else "its batcher has ended",
        )
        for number, version in sorted(model.versions.items())
    ]
