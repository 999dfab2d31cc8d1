"""The parts of V2, those first whose routes are asked most."""

from server.protocol.v2 import V2, Surface
from server.protocol.v2_infer import Infer
from server.protocol.v2_models import Models
from server.protocol.v2_repository import ModelRepository
from server.protocol.v2_settings import Settings
from server.protocol.v2_shared_memory import SharedMemoryRegions


def v2_surfaces(v2: V2) -> tuple[Surface, ...]:
    """All parts of V2 over the same models and settings."""
    return (Infer(v2), Models(v2), ModelRepository(v2), Settings(v2), SharedMemoryRegions(v2))
