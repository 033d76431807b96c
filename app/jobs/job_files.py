"""The files of jobs, in a folder for each: HUBEL_DATA_DIR/jobs/ID/.

    job.json     the job; written beside and renamed, so it is always whole
    log.txt      what the process wrote to its standard error
    work/        photos (hard links), checkpoint, the finished bundle, result.json; removed at the
                 end, unless the job can be resumed

One service at a time uses the folder. Jobs that were running when it was killed are interrupted.
"""

import fcntl
import logging
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from app.durable_files import sync, write_file
from app.errors import BadParameter
from app.jobs.job import ENDED, Job

log = logging.getLogger("hubel")

FOLDER = "jobs"
"""The folder of the jobs in HUBEL_DATA_DIR."""
MAX_ENDED = 200
"""Records of ended jobs that are kept; the oldest are removed."""
LOG, RESULT, PLAN, BUNDLE, PHOTOS = "log.txt", "result.json", "plan.json", "bundle", "photos"
UPLOAD, LABELS, TEMPORARY = "upload.onnx", "labels.json", "tmp"
_RECORD, _WORK, _LOCK = "job.json", "work", "service.lock"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


class JobFiles:
    """The files of all jobs of a data folder.

    Args:
        data_dir: the folder of HUBEL_DATA_DIR, which must exist.

    Raises:
        BadParameter: the folder can't be written, or another service uses it.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = self._claim()
        except OSError as err:
            raise BadParameter(
                f"{data_dir} can't hold jobs ({err}). Name a folder that this user may write in "
                "HUBEL_DATA_DIR."
            ) from err

    def _claim(self) -> IO[bytes]:
        lock = (self.folder / _LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            lock.close()
            raise BadParameter(
                f"Another service runs jobs in {self.folder}. Give each a HUBEL_DATA_DIR of its "
                "own."
            ) from err
        return lock

    def close(self) -> None:
        """Let another service use the folder."""
        self._lock.close()

    def job_folder(self, id: str) -> Path:
        """Return the folder of a job."""
        return self.folder / id

    def work(self, id: str) -> Path:
        """Return the folder that the process of a job works in."""
        return self.folder / id / _WORK

    def save(self, job: Job) -> None:
        """Write a job's record; once this returns it is on the disk.

        Raises:
            OSError: it can't be written.
        """
        folder = self.folder / job.id
        is_new = not folder.exists()
        folder.mkdir(mode=0o700, exist_ok=True)
        write_file(folder / _RECORD, (job.model_dump_json(indent=1) + "\n").encode())
        if is_new:
            sync(self.folder)

    def load(self) -> list[Job]:
        """Return all jobs, the oldest first; a folder without a readable record is skipped.

        Raises:
            OSError: the folder can't be read.
        """
        jobs = []
        for folder in sorted(self.folder.iterdir()):
            if not _ID.fullmatch(folder.name):
                continue
            try:
                jobs.append(Job.model_validate_json((folder / _RECORD).read_bytes()))
            except FileNotFoundError:  # the service was killed before it acknowledged the job
                shutil.rmtree(folder, ignore_errors=True)
            except (OSError, ValidationError) as err:
                log.warning("%s is skipped: its record can't be read (%s)", folder, err)
        return sorted(jobs, key=lambda job: job.created)

    def remove_photos(self, id: str) -> None:
        """Remove the photos that a job worked with, unless a checkpoint belongs to them.

        They are links: a photo that is deleted would stay on the disk for as long as they do.
        """
        work = self.work(id)
        shutil.rmtree(work / TEMPORARY, ignore_errors=True)
        if not any(work.glob(f".{BUNDLE}.checkpoint")):
            shutil.rmtree(work / PHOTOS, ignore_errors=True)

    def remove_work(self, id: str) -> None:
        """Remove what a job worked with."""
        shutil.rmtree(self.work(id), ignore_errors=True)

    def remove(self, id: str) -> None:
        """Remove a job with its record."""
        with suppress(FileNotFoundError):  # first: what is killed after this is removed at start
            (self.folder / id / _RECORD).unlink()
        shutil.rmtree(self.folder / id, ignore_errors=True)

    def remove_oldest(self, jobs: list[Job]) -> list[Job]:
        """Remove the records of the oldest ended jobs beyond the limit; return those that stay."""
        ended = [job for job in jobs if job.state in ENDED]
        gone = {job.id for job in ended[: max(0, len(ended) - MAX_ENDED)]}
        for id in gone:
            self.remove(id)
        return [job for job in jobs if job.id not in gone]
