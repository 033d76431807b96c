"""Runs jobs, one at a time, on a thread: queued -> a process -> promotion -> ended.

    submit, resume, cancel   threads of the API; what they return is on the disk
    jobs, get, state_of      the event loop, without a lock, since a change holds it while it
                             waits for the disk
    the thread               the oldest queued job: `Run`

At the start, jobs that were running when the service was killed are interrupted; queued ones run.
At the end of the service, the process of the running job is killed, and the job is interrupted.
"""

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from app.errors import JobConflict, QueueFull, UnknownJob
from app.jobs.events import JobEvents
from app.jobs.job import ENDED, Job, JobProblem, JobRequest, Progress, State
from app.jobs.job_files import JobFiles
from app.jobs.promotion import Models
from app.jobs.run import Interrupted, Run
from app.jobs.training_checks import Checks

log = logging.getLogger("hubel")

MAX_QUEUED = 16
_RETRY_S = 60
_JOIN_S = 5.0

MakeRun = Callable[[Job, Callable[[Progress], None]], Run]
"""Makes the run of a job from the job and what is called with its progress."""


class JobRunner:
    """The queue of jobs and its thread; a context manager that starts and ends it.

    Args:
        files: the folder of the jobs.
        checks: checks a request before it is queued.
        make_run: makes the run of a job.
        models: the models folder.
    """

    def __init__(self, files: JobFiles, checks: Checks, make_run: MakeRun, models: Models) -> None:
        self._files = files
        self._models = models
        self._checks = checks
        self._make_run = make_run
        self.events = JobEvents()
        self.ended: Counter[tuple[str, str]] = Counter()
        """Jobs that ended since the start, by kind and state."""
        self.outcomes: Counter[str] = Counter()
        """Versions that jobs made since the start, by what became of them."""
        self._jobs: dict[str, Job] = {}
        self._sequence: Counter[str] = Counter()
        """A number for each state of a job, by id; it grows with every change."""
        self._changed = threading.Condition()
        self._is_ending = False
        self._run: Run | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def __enter__(self) -> Self:
        """Read the records, remove what a killed service left, and start the thread."""
        self._models.clear_unfinished()
        for job in self._files.load():
            self._jobs[job.id] = job
            if job.state == "running":
                detail = "The service ended while the job ran. Resume it."
                self._end(job, "interrupted", JobProblem(code="interrupted", detail=detail))
            elif job.state == "queued":
                log.info("job %s is queued again", job.id)
            elif not job.can_resume:
                self._files.remove_work(job.id)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Interrupt the running job, and end the thread."""
        with self._changed:
            self._is_ending = True
            if self._run is not None:
                self._run.stop("interrupted")
            self._changed.notify_all()
        self._thread.join(_JOIN_S)
        self._files.close()

    @property
    def queued(self) -> int:
        """The number of jobs that wait."""
        return sum(job.state == "queued" for job in list(self._jobs.values()))

    @property
    def running(self) -> int:
        """1 while a job runs, else 0."""
        return int(self._run is not None)

    def jobs(self) -> list[Job]:
        """Return all jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def get(self, id: str) -> Job:
        """Return a job.

        Raises:
            UnknownJob: there is none.
        """
        return self.state_of(id)[1]

    def state_of(self, id: str) -> tuple[int, Job]:
        """Return the number of a job's present state, and the job.

        Raises:
            UnknownJob: there is none.
        """
        number = self._sequence[id]  # first, so that a change in between is seen the next time
        job = self._jobs.get(id)
        if job is None:
            raise UnknownJob(f"There is no job {id!r}. Its record was removed, or never was.")
        return number, job

    def submit(self, request: JobRequest) -> Job:
        """Queue a job, and return it; its record is on the disk.

        Raises:
            HubelError: the job can't be run.
            OSError: the record can't be written.
        """
        self._checks.check(request)
        now = datetime.now(UTC)
        id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        with self._changed:
            self._require_room()
            job = Job(id=id, kind=request.kind, request=request, created=now)
            self._put(job)
            kept = self._files.remove_oldest(list(self._jobs.values()))
            self._jobs = {job.id: job for job in kept}
            self._changed.notify_all()
        log.info("job %s is queued: %s %s", id, request.kind, request.model)
        return job

    def resume(self, id: str) -> Job:
        """Queue an interrupted job again.

        Raises:
            UnknownJob: there is no such job.
            JobConflict: it wasn't interrupted.
            HubelError: it can't be run.
            OSError: its record can't be written.
        """
        job = self.get(id)
        if not job.can_resume:
            raise JobConflict(f"Job {id} is {job.state}. Only an interrupted job can be resumed.")
        self._checks.check_again(job.request)
        with self._changed:
            job = self.get(id)
            if not job.can_resume:
                raise JobConflict(f"Job {id} is {job.state}. It was resumed already.")
            self._require_room()
            job = job.model_copy(
                update={
                    "state": "queued",
                    "problem": None,
                    "ended": None,
                    "progress": Progress(),
                    "can_resume": False,
                }
            )
            self._put(job)
            self._changed.notify_all()
        log.info("job %s is resumed", id)
        return job

    def cancel(self, id: str) -> Job | None:
        """Cancel a queued or running job and return it; remove the record of an ended one: None.

        Raises:
            UnknownJob: there is no such job.
            JobConflict: it is at its last step, which takes seconds.
            OSError: the record can't be written.
        """
        with self._changed:
            job = self.get(id)
            if job.state in ENDED:
                self._files.remove(id)
                del self._jobs[id]
                self.events.changed()
                return None
            if job.state == "queued":
                self._end(job, "cancelled", None)
                return self._jobs[id]
            run = self._run
            if run is None or not run.stop("cancelled"):
                raise JobConflict(f"Job {id} is at its last step. Wait a few seconds.")
            self._changed.wait_for(lambda: self._jobs[id].state in ENDED, _JOIN_S)
            return self._jobs.get(id)

    def _require_room(self) -> None:
        if self.queued >= MAX_QUEUED:
            raise QueueFull(
                f"{MAX_QUEUED} jobs wait already. Try again once one has ended, or cancel one.",
                retry_after_s=_RETRY_S,
            )

    def _put(self, job: Job) -> None:
        """Store a job, in memory and on the disk."""
        self._files.save(job)
        self._set(job)

    def _set(self, job: Job) -> None:
        """Store a job in memory alone: its progress isn't worth the disk."""
        with self._changed:
            self._jobs[job.id] = job
            self._sequence[job.id] += 1
        self.events.changed()

    def _end(self, job: Job, state: State, problem: JobProblem | None) -> None:
        can_resume = state == "interrupted"
        job = job.model_copy(
            update={
                "state": state,
                "problem": problem,
                "ended": datetime.now(UTC),
                "can_resume": can_resume,
            }
        )
        self.ended[job.kind, state] += 1
        if job.result is not None:
            self.outcomes[job.result.outcome] += 1
        with self._changed:
            self._set(job)
            self._changed.notify_all()
            try:
                self._files.save(job)
            except OSError as err:  # after a restart the job is interrupted
                log.error("the record of job %s can't be written (%s)", job.id, err)
            else:  # afterwards, so that a kill in between leaves nothing that seems to be work
                self._clean(job)
        level = logging.INFO if state in ("done", "cancelled") else logging.WARNING
        log.log(level, "job %s is %s%s", job.id, state, f": {problem.detail}" if problem else "")

    def _clean(self, job: Job) -> None:
        if job.can_resume:
            self._files.remove_photos(job.id)
        else:
            self._files.remove_work(job.id)

    def _next(self) -> Job | None:
        """Wait for a queued job and return it as running; None: the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or self.queued)
            if self._is_ending:
                return None
            job = min(
                (job for job in self._jobs.values() if job.state == "queued"),
                key=lambda job: job.created,
            )
            started = {"state": "running", "started": datetime.now(UTC)}
            job = job.model_copy(update=started)
            self._put(job)
            self._run = self._make_run(job, lambda progress: self._progress(job.id, progress))
            return job

    def _progress(self, id: str, progress: Progress) -> None:
        self._set(self._jobs[id].model_copy(update={"progress": progress}))

    def _work(self) -> None:
        while True:
            try:
                job = self._next()
                if job is None:
                    return
                self._run_one(job)
            except Exception:  # the disk is full, or gone: the thread must not end
                log.exception("the queue of jobs failed")
                with self._changed:
                    self._changed.wait_for(lambda: self._is_ending, _RETRY_S)

    def _run_one(self, job: Job) -> None:
        assert self._run is not None
        log.info("job %s runs", job.id)
        try:
            outcome = self._run.carry_out()
        finally:
            with self._changed:
                self._run = None
        job = self._jobs[job.id]
        if isinstance(outcome, Interrupted):
            detail = "The service ended while the job ran. Resume it."
            problem = outcome.problem or JobProblem(code="interrupted", detail=detail)
            self._end(job, outcome.state, problem if outcome.state == "interrupted" else None)
        elif isinstance(outcome, JobProblem):
            self._end(job, "failed", outcome)
        else:
            done = {"result": outcome, "progress": Progress(step="done")}
            self._end(job.model_copy(update=done), "done", None)
