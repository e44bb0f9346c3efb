"""The keeper's hand on batches: it gathers rows for them, asks the lanes for their steps, and keeps what the lanes report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from redis import Redis
from sqlite_utils import Database

from jobs import batches, errors
from jobs.asking import Asking, Taken
from jobs.batches import BatchState, Next, Size
from jobs.keys import Keys
from jobs.lifecycle import RunState
from jobs.messages import Ask, Step, StepReport
from jobs.outcomes import Reported
from jobs.prices import at_batch
from jobs.settings import Connection, Settings, reload
from jobs.steps import StepTray
from jobs.store import batches as kept
from jobs.store import left_files, rows, runs
from jobs.store.batches import BatchRecord
from jobs.store.record import Recorder
from jobs.store.runs import RunRecord, transaction

logger = logging.getLogger(__name__)

#: rows that are gathered in one transaction
GATHER_MOST = 500
#: batches of a run that may be open; its other rows wait
MOST_OPEN = 20
#: a batch waits for rows that are due within so many seconds
SOON_SECONDS = 60.0
#: seconds until a run is looked at again that had nothing to gather
REST_SECONDS = 0.5
#: what stands in the books of a call of a batch that was completed without it
NO_LINE = "batch {} was completed, and no line of its files is about this call"
#: seconds from one try to delete a batch's files to the next, as many as there are, and how many batches' are tried at once
CLEAR_WAITS, CLEAR_MOST = (60.0, 600.0, 3600.0, 60.0), 5
#: seconds between two looks whether a lane still has a step
PATIENCE_SECONDS = 1.0


class Gathering:
    """All that the keeper does about batches."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        settings: Settings,
        asking: Asking,
        *,
        brief: Callable[[RunRecord], None],
        now: Callable[[], float],
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._db, self._settings, self._asking = db, settings, asking
        self._brief, self._now, self._chance, self._new_id = brief, now, chance, new_id
        self._steps = StepTray(redis, Keys(settings.home_id))
        self._rest_until: dict[int, float] = {}
        #: calls of a batch that were found in its files and not among the outcomes
        self._unheard: dict[int, int] = {}

    def open(self) -> None:
        """Make what Redis must have."""
        self._steps.open()

    # -- gathering -----------------------------------------------------------------------------------------------------

    def gather(self, record: RunRecord) -> bool:
        """Put rows of a running run into batches; whether there may be more to do at once."""
        if record.options.batch == "no" or time.monotonic() < self._rest_until.get(record.id, 0.0):
            return False
        with transaction(self._db):
            open_ones = kept.of_run(self._db, record.id)
            has_room = len(open_ones) < MOST_OPEN
            taken = self._take(record) if has_room else None
            if taken is not None:
                self._put(record, taken)
            moved = taken is not None and taken.moved
            if not moved and not self._is_worth_waiting(record, open_ones, taken):
                for batch in kept.of_run(self._db, record.id):
                    if batch.state is BatchState.MAKING:
                        kept.close(self._db, batch.id, now=self._now())
        if not moved:
            self._rest_until[record.id] = time.monotonic() + REST_SECONDS
        return moved

    def _take(self, record: RunRecord) -> Taken:
        prices = [at_batch(rung.price, self._connection(rung.connection)) for rung in record.rungs]
        which: rows.Which = "first" if record.options.batch == "first" else "all"
        return self._asking.take(record, most=GATHER_MOST, which=which, prices=prices)

    def _is_worth_waiting(self, record: RunRecord, open_ones: list[BatchRecord], taken: Taken | None) -> bool:
        """Whether rows will come that a batch in the making has room for."""
        if record.laid_out < record.row_count:
            return True
        if taken is None or taken.short or record.options.batch == "first":
            return False
        if any(batch.state is BatchState.RETURNED for batch in open_ones):
            return True
        return rows.due_within(self._db, record.id, until=self._now() + SOON_SECONDS)

    def _put(self, record: RunRecord, taken: Taken) -> None:
        making = {one.rung: one for one in kept.of_run(self._db, record.id) if one.state is BatchState.MAKING}
        by_rung: dict[int, list[Ask]] = {}
        for ask in taken.asks:
            by_rung.setdefault(ask.rung, []).append(ask)
        for rung, asks in by_rung.items():
            self._fill(record, making.get(rung), rung, asks, taken.reserved)

    def _fill(
        self, record: RunRecord, batch: BatchRecord | None, rung: int, asks: list[Ask], reserved: dict[str, float]
    ) -> None:
        connection = self._connection(record.rungs[rung].connection)
        most = Size(calls=connection.batch_calls, bytes=connection.batch_bytes)
        price = at_batch(record.rungs[rung].price, connection)
        number, held = (batch.id, batch.held) if batch is not None else (None, Size())
        while asks:
            if number is None:
                number = kept.begin(self._db, record.id, rung, token=self._new_id(), price=price, now=self._now())
                held = Size()
            sizes = [_size(record, ask) for ask in asks]
            count = batches.fitting(sizes, held=held, most=most)
            fits, asks = asks[:count], asks[count:]
            size = sum((one.bytes for one in sizes[:count]), 0)
            rows.mark_dispatched(self._db, record, fits, reserved, batch=number)
            kept.add(self._db, number, fits, size)
            held += Size(calls=count, bytes=size)
            if asks or held.calls >= most.calls:
                kept.close(self._db, number, now=self._now())
                number = None

    def _connection(self, name: str) -> Connection:
        """As it is now; a person may have changed it since the keeper began."""
        with suppress(errors.InputError):
            found = reload(self._settings).connections.get(name)
            if found is not None:
                return found
        return self._settings.connections.get(name) or Connection(name=name)

    def dissolve(self, record: RunRecord) -> bool:
        """A run that does not go on makes no batch: rows of those that nobody was asked to submit wait as before."""
        if record.options.batch == "no":
            return False
        found = [one for one in kept.of_run(self._db, record.id) if one.handed_at is None]
        if found:
            with transaction(self._db):
                for batch in found:
                    kept.dissolve(self._db, batch.id, now=self._now())
        return bool(found)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def hand_out(self) -> bool:
        """Ask the lanes for every step that is due; whether there was one."""
        due = kept.due(self._db, now=self._now())
        under_way = self._steps.under_way() if any(batch.out for batch in due) else set()
        handed = [self._hand(batch, under_way) for batch in due]
        if not any(handed):
            self._clear()
        return any(handed)

    def _hand(self, batch: BatchRecord, under_way: set[int]) -> bool:
        now = self._now()
        record = runs.run(self._db, batch.run)
        if record is None:
            return False
        if batch.out and batch.id in under_way:
            with transaction(self._db):
                kept.look_again(self._db, batch.id, next_at=now + PATIENCE_SECONDS)
            return False
        kind = batches.next_step(
            batch.state, status=batch.remote.status if batch.remote else None, run_state=record.state
        )
        asks = self._asking.again(record, batch) if kind in ("submit", "read") else None
        with transaction(self._db):
            kept.handed(self._db, batch.id, now=now, next_at=now + PATIENCE_SECONDS)
        self._brief(record)
        step = Step(
            kind=kind,
            batch=batch.id,
            run=batch.run,
            rung=batch.rung,
            token=batch.token,
            first=batch.handed_at is None,
            remote=batch.remote,
            submitted_at=batch.submitted_at or 0.0,
        )
        self._steps.put(step, asks)
        logger.info("batch %s: %s", batch.id, kind, extra={"action": f"batch_{kind}", "run": batch.run})
        return True

    def _clear(self) -> None:
        """Ask the lanes to delete what batches that are over have left at their provider; nothing waits for it."""
        now = self._now()
        for left in left_files.due(self._db, now=now, most=CLEAR_MOST):
            record = runs.run(self._db, left.run)
            gives_up = record is None or left.tries >= len(CLEAR_WAITS)
            with transaction(self._db):
                if gives_up:
                    left_files.forget(self._db, left.token)
                else:
                    left_files.handed(self._db, left.token, next_at=now + CLEAR_WAITS[left.tries])
            if record is None or gives_up:
                about = {"action": "batch_files_left", "run": left.run}
                logger.error(
                    "the files of batch %s (redrive-%s) stay at the provider", left.batch, left.token, extra=about
                )
                continue
            self._brief(record)
            step = Step(
                kind="clear", batch=left.batch, run=left.run, rung=left.rung, token=left.token, remote=left.remote
            )
            self._steps.put(step, None)

    # -- reports -------------------------------------------------------------------------------------------------------

    def heed(self, reported: list[Reported]) -> None:
        """Keep what lanes have reported; the outcomes that stood before it are recorded."""
        for one in reported:
            if one.report.kind == "clear":
                self._cleared(one.report)
                # Its calls are left there: under its number another batch may be on the way.
                self._steps.done(one.report.entry)
                continue
            if one.report.result != "done" and not self._steps.holds(one.report.entry):
                # Its lane was given up, and another may be making the batch: only what is there counts.
                _log_late(one.report)
                continue
            self._apply(one.report)
            self._steps.done(one.report.entry, one.report.batch)

    def _cleared(self, report: StepReport) -> None:
        about = {"action": "batch_files", "run": report.run}
        if report.result != "done":
            logger.warning("batch %s: its files are still there: %s", report.batch, report.words, extra=about)
            return
        with transaction(self._db):
            left_files.forget(self._db, report.token)
        logger.info("batch %s: its files are deleted at the provider", report.batch, extra=about)

    def forget(self, entry: str) -> None:
        """A report that cannot be read: its step is asked for again."""
        self._steps.done(entry)

    def _apply(self, report: StepReport) -> None:
        batch = kept.get(self._db, report.batch)
        if batch is None or batch.token != report.token or not _awaits(batch, report):
            _log_late(report)
            return
        record = runs.run(self._db, batch.run)
        assert record is not None
        now = self._now()
        connection = self._connection(record.rungs[batch.rung].connection)
        what = batches.after_report(
            batch.state,
            report,
            passed=now - (batch.submitted_at or batch.created_at),
            first=connection.batch_poll,
            is_cancelled=record.state == RunState.CANCELLED,
            vain=batch.vain,
        )
        if report.kind == "read" and report.result == "done" and self._is_unheard(batch, report):
            what = Next(state=batch.state)
        with transaction(self._db):
            if what.lost:
                why = f"batch {batch.id} has no answer to it: {what.words}" if what.words else NO_LINE.format(batch.id)
                Recorder(self._db, now=now, chance=self._chance).lose(kept.waiting(self._db, batch.id), why=why)
            kept.apply(self._db, batch, report, what, now=now, token=self._new_id())
            if (what.renewed or what.state is BatchState.ENDED) and not connection.keep_files:
                left_files.leave(self._db, batch, report.remote or batch.remote, now=now)
            if what.state is BatchState.ENDED:
                back = kept.give_back(self._db, batch.id, now=now, as_before=what.unrun)
                about = {"action": "batch_ended", "run": batch.run, "rows_back": back}
                logger.info("batch %s ended, %s rows come again", batch.id, back, extra=about)
            if what.pause is not None and record.state == RunState.RUNNING:
                runs.set_state(self._db, record.id, RunState.PAUSED, now=now, paused_by="provider", reason=what.pause)
                logger.error("run paused: %s", what.pause, extra={"action": "run_paused", "run": record.id})
        self._rest_until.pop(batch.run, None)

    def _is_unheard(self, batch: BatchRecord, report: StepReport) -> bool:
        """Whether lines were found and handed back that never came, since Redis lost them: the files are read once more."""
        unheard = len(kept.waiting(self._db, batch.id)) - report.missing
        before = self._unheard.pop(batch.id, None)
        if unheard <= 0 or (before is not None and unheard >= before):
            return False
        self._unheard[batch.id] = unheard
        logger.warning(
            "batch %s: %s lines were lost on their way", batch.id, unheard, extra={"action": "batch_unheard"}
        )
        return True


def _log_late(report: StepReport) -> None:
    about = {"action": "report_late", "run": report.run}
    logger.info("batch %s: a report of a step that is over", report.batch, extra=about)


def _awaits(batch: BatchRecord, report: StepReport) -> bool:
    """Whether a report is about the step that the batch is at: one step may have been done by two lanes."""
    kinds = {
        BatchState.READY: ("submit", "find"),
        BatchState.SUBMITTED: ("look", "cancel"),
        BatchState.RETURNED: ("read",),
    }
    return report.kind in kinds.get(batch.state, ())


def _size(record: RunRecord, ask: Ask) -> Size:
    """About how large a call's line will be."""
    common = len(record.content.template) + len(str(record.content.contract)) + 300
    told = sum(len(cell.encode("utf-8", "surrogatepass")) for row in ask.rows for cell in row.cells.values())
    complaints = sum(len(row.complaint.answer or "") + len(row.complaint.problems) for row in ask.rows if row.complaint)
    return Size(calls=1, bytes=common + told + complaints)
