"""One run of a job: its process, then the promotion of what that made.

plan.json -> the process -> lines of progress
          -> result.json -> Models.install -> decide -> Models.promote -> JobResult
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from app import bundle as bundles
from app.errors import HubelError, ModelsReadOnly, PinFileInvalid, TooMuchMemory, first_line_of
from app.jobs import job_files
from app.jobs.job import Job, JobProblem, JobResult, Progress, Promote
from app.jobs.job_files import JobFiles
from app.jobs.own_limits import threads_for_job
from app.jobs.plan import Ended, Plan, Result, StepLine, TextLine
from app.jobs.process import JobProcess
from app.jobs.promotion import Decision, Models, decide

log = logging.getLogger("hubel")

Stop = Literal["cancelled", "interrupted"]
_Line = TypeAdapter[StepLine | TextLine | Ended](
    Annotated[StepLine | TextLine | Ended, Field(discriminator="type")]
)
_MB = 1_000_000
_SIGKILL = -9
_LOG_CHARACTERS = 20_000
"""The end of the log that is looked at."""


@dataclass(frozen=True)
class Interrupted:
    """The run was stopped, or what it made has no place yet."""

    state: Stop
    problem: JobProblem | None = None
    """Why, unless the service ended or somebody cancelled it."""


@dataclass(frozen=True)
class RunSettings:
    """The settings that all runs of a service share."""

    data_dir: Path
    promote: Promote
    memory_bytes: Callable[[], int]
    """Returns the most memory that a process may have; raises TooMuchMemory."""
    reserved: Callable[[int], AbstractContextManager[None]]
    """Takes memory from the budget of the service for a block."""
    upload: Callable[[str], Path]
    """Returns the file of an upload; raises UnknownUpload."""


class Run:
    """One run of a job.

    Args:
        job: the job.
        files: the folder of the jobs.
        models: the models folder.
        settings: what is the same for all runs.
        report: called with the progress.
    """

    def __init__(
        self,
        job: Job,
        files: JobFiles,
        models: Models,
        settings: RunSettings,
        report: Callable[[Progress], None],
    ) -> None:
        self._job = job
        self._files = files
        self._models = models
        self._settings = settings
        self._report = report
        self._progress = Progress(step="starting")
        self._lock = threading.Lock()
        self._process: JobProcess | None = None
        self._stopped: Stop | None = None
        self._problem: JobProblem | None = None
        self._is_promoting = False

    def stop(self, state: Stop) -> bool:
        """End the run soon; return False if it is too late for that."""
        with self._lock:
            if self._is_promoting:
                return False
            self._stopped = self._stopped or state
            if self._process is not None:
                self._process.kill()
            return True

    def carry_out(self) -> JobResult | JobProblem | Interrupted:
        """Run the process and promote its bundle."""
        try:
            work = self._files.work(self._job.id)
            self._drop_outdated(work)
            if not (work / job_files.RESULT).exists() and (problem := self._make(work)):
                return problem
            with self._lock:
                if self._stopped is not None:
                    return Interrupted(self._stopped)
                self._is_promoting = True
        except Exception as err:
            return self._problem_of(err)
        try:
            return self._promote(work)
        except (ModelsReadOnly, TooMuchMemory, PinFileInvalid, OSError) as err:
            # what was made is kept, so that the job can be resumed once there is room
            return Interrupted("interrupted", self._problem_of(err))
        except Exception as err:
            return self._problem_of(err)

    def _problem_of(self, err: Exception) -> JobProblem:
        if isinstance(err, HubelError):
            return JobProblem(code=err.code, detail=str(err))
        log.exception("job %s failed", self._job.id)
        detail = f"A file of the job can't be written or read ({first_line_of(err)})."
        if not isinstance(err, OSError | ValidationError):
            detail = f"The job failed unexpectedly ({type(err).__name__}). The log has more."
        return JobProblem(code="job_failed", detail=detail)

    def _drop_outdated(self, work: Path) -> None:
        """Remove what an interrupted run made, if other versions came or serve meanwhile."""
        plan = work / job_files.PLAN
        if not plan.exists():
            return
        before = Plan.model_validate_json(plan.read_bytes())
        name = before.model
        is_highest = self._models.next_version(name) <= before.version + 1
        own = self._models.place(name, before.version)  # it may have been promoted already
        if not is_highest or self._models.serving_folder(name) not in (before.serving, own):
            (work / job_files.RESULT).unlink(missing_ok=True)
            shutil.rmtree(work / job_files.BUNDLE, ignore_errors=True)

    def _make(self, work: Path) -> JobProblem | Interrupted | None:
        """Run the process; return why it made no bundle, or None."""
        request = self._job.request
        self._models.check_writable(request.model)
        plan = work / job_files.PLAN
        resume = plan.exists()
        work.mkdir(parents=True, exist_ok=True)
        if request.import_ is not None and not (work / job_files.UPLOAD).exists():
            _link_or_copy(self._settings.upload(request.import_.upload), work / job_files.UPLOAD)
        memory_bytes = self._settings.memory_bytes()
        new = Plan(
            train=request.train,
            import_=request.import_,
            data_dir=self._settings.data_dir,
            version=self._version(work),
            serving=self._models.serving_folder(request.model),
            resume=resume,
            memory_bytes=memory_bytes,
        )
        plan.write_text(new.model_dump_json(), encoding="utf-8")
        temporary = work / job_files.TEMPORARY
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with self._settings.reserved(memory_bytes):
            with self._lock:
                if self._stopped is not None:
                    return Interrupted(self._stopped)
                folder = self._files.job_folder(self._job.id)
                process = JobProcess(folder, folder / job_files.LOG, temporary, threads_for_job())
                self._process = process
            self._tell(self._progress)
            for line in process.lines():
                self._read(line)
            status = process.wait()
            process.kill()  # what it may have started
        if self._stopped is not None:
            return Interrupted(self._stopped)
        if status == 0 and (work / job_files.RESULT).exists():
            return None
        return self._why(status, memory_bytes)

    def _version(self, work: Path) -> int:
        """Return the version of the new bundle: that of a bundle that waits for its comparison."""
        folder = work / job_files.BUNDLE
        if (folder / bundles.MANIFEST).exists():
            return bundles.load(folder).manifest.version
        return self._models.next_version(self._job.request.model)

    def _read(self, line: bytes) -> None:
        try:
            read = _Line.validate_json(line)
        except ValidationError:
            log.debug("job %s wrote a line that is none: %.200r", self._job.id, line)
            return
        if isinstance(read, Ended):
            self._problem = read.problem
        elif isinstance(read, TextLine):
            self._tell(self._progress.model_copy(update={"detail": read.text}))
        else:
            fields = read.model_dump(exclude={"type"})
            self._tell(Progress(detail=self._progress.detail, **fields))

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        self._report(progress)

    def _why(self, status: int, memory_bytes: int) -> JobProblem:
        """Return why the process made no bundle.

        Libraries report that they had no memory in many ways, so their words come first.
        """
        if status == _SIGKILL or self._says_memory():
            return JobProblem(
                code="out_of_memory",
                detail=f"Training needed more memory than it may have, "
                f"{memory_bytes // _MB:,} MB. Raise HUBEL_JOB_MEMORY_BYTES, or train with fewer "
                "photos.",
            )
        if self._problem is not None:
            return self._problem
        file = self._files.job_folder(self._job.id) / job_files.LOG
        return JobProblem(
            code="job_failed",
            detail=f"The process ended with status {status}. {file} has what it wrote.",
        )

    def _says_memory(self) -> bool:
        try:
            file = self._files.job_folder(self._job.id) / job_files.LOG
            text = file.read_text(errors="replace")[-_LOG_CHARACTERS:]
        except OSError:
            text = ""
        text += self._problem.detail if self._problem else ""
        return any(words in text for words in _MEMORY_WORDS)

    def _promote(self, work: Path) -> JobResult:
        """Install the finished bundle; promote, offer or hold it."""
        self._tell(Progress(step="promoting", detail=self._progress.detail))
        result = Result.model_validate_json((work / job_files.RESULT).read_bytes())
        folder = work / job_files.BUNDLE
        manifest = bundles.load(folder).manifest
        decision = decide(
            result.comparison,
            self._job.request.promote or self._settings.promote,
            is_first=self._models.is_first(manifest.name, manifest.version),
        )
        plan = Plan.model_validate_json((work / job_files.PLAN).read_bytes())
        self._models.install(folder)
        if decision.outcome == "promoted" and not self._models.promote(
            manifest.name, manifest.version, plan.serving
        ):
            reason = "Another version serves since the comparison. Promote it, or train again."
            decision = Decision("offered", reason)
        if decision.outcome != "promoted":
            self._models.hold(manifest.name, manifest.version, decision.reason)
        has_report = (folder / "report" / "index.html").is_file()
        report = f"/api/v1/models/{manifest.name}/report/?version={manifest.version}"
        return JobResult(
            model=manifest.name,
            version=manifest.version,
            accuracy=result.accuracy,
            photos=result.photos,
            outcome=decision.outcome,
            reason=decision.reason,
            report=report if has_report else None,
            comparison=result.comparison,
        )


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


_MEMORY_WORDS = (
    "MemoryError",
    "bad_alloc",
    "llocate memory",
    "Out of memory",
    "can't start new th",
)
"""Words of libraries that had no memory left and ended the process."""
