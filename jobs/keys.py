"""The names of everything that Redrive keeps in Redis; each carries the home's id, so homes can share a server."""

from __future__ import annotations

from dataclasses import dataclass

#: the consumer group of the calls stream
GROUP = "lanes"


@dataclass(frozen=True)
class Keys:
    """The names for one home."""

    home: str

    def _of(self, *parts: object) -> str:
        return ":".join(("redrive", self.home, *map(str, parts)))

    @property
    def queue(self) -> str:
        """The RQ queue that lanes wait on."""
        return f"redrive-{self.home}"

    @property
    def calls(self) -> str:
        """The stream of calls to make."""
        return self._of("calls")

    @property
    def outcomes(self) -> str:
        """The stream of what became of them."""
        return self._of("outcomes")

    @property
    def steps(self) -> str:
        """The stream of what is to be done about batches."""
        return self._of("steps")

    def batch(self, batch: int) -> str:
        """The calls of a batch, for the step that needs them."""
        return self._of("batch", batch)

    @property
    def leases(self) -> str:
        """Sorted set: lane -> when its lease ends, on the server's clock."""
        return self._of("leases")

    @property
    def keeper(self) -> str:
        """Hash: place and token of the one keeper of the home, for as long as its lease lasts."""
        return self._of("keeper")

    @property
    def control(self) -> str:
        """Hash: run -> JSON of Control."""
        return self._of("control")

    def brief(self, run: int) -> str:
        """What lanes must know of a run."""
        return self._of("brief", run)

    def places(self, run: int, rung: int = 0) -> str:
        """Hash: lane -> places in flight that it holds of the run, or of an upper rung of it."""
        return self._of("places", run, rung) if rung else self._of("places", run)

    @property
    def moves(self) -> str:
        """Hash: run, or run:rung -> how often what lanes hold or want of it has changed."""
        return self._of("moves")

    def pool(self, connection: str, model: str) -> str:
        """Hash: what a connection's model allows, and what is left of it now."""
        return self._of("pool", connection, model)

    def run_bucket(self, run: int) -> str:
        """Hash: what is left of the rate that a person gave a run."""
        return self._of("run-bucket", run)

    def live(self, run: int) -> str:
        """Hash: ordinal -> the reply so far, of a run of kind try."""
        return self._of("live", run)
