"""An engine that cannot even be loaded: importing it ends the process, or never ends."""

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines.interface import EngineFailed
from crosscheck.networks.network import Architecture, Case, Gradients


class Broken:
    """Stands for such an engine in every case, with the status and the message of its end."""

    def __init__(self, name: str, status: str, message: str) -> None:
        self.name, self.status, self.message = name, status, message

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return True

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        """Raises EngineFailed, always."""
        raise EngineFailed(self.status, self.message)
