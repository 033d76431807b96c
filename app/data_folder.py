"""The parts of the service that keep data in HUBEL_DATA_DIR, made from the settings.

captures, datasets, uploads, jobs: each is None without the folder
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from app import vision
from app.api.captured_photos import CapturedPhotos
from app.api.upload_limits import UploadLimits, UploadTimes
from app.captures import CaptureRule, Recorder, Store, StoreLimits
from app.dataset_store import DatasetLimits, DatasetStore, PhotoCheck
from app.jobs.job import Job, Progress
from app.jobs.job_files import JobFiles
from app.jobs.promotion import Models
from app.jobs.run import Run, RunSettings
from app.jobs.runner import JobRunner
from app.jobs.training_checks import Checks
from app.memory_budget import MemoryBudget
from app.runtime.model_memory import ModelMemory
from app.runtime.registry import Registry
from app.settings import Settings
from app.uploads import UploadFiles
from app.vision.metadata import without_metadata
from app.vision.saved_png import cut_out
from app.zip_directory import ZipLimits

_RECENT_SHARE = 8
"""The last photos, which feedback may name, hold one of so many parts of the memory."""


def captured_photos(settings: Settings, memory_budget: MemoryBudget) -> CapturedPhotos | None:
    """Return what keeps photos, or None without a folder for them.

    Raises:
        BadParameter: the folder can't be used.
    """
    if settings.data_dir is None:
        return None
    limits = vision.Limits(settings.max_image_bytes, settings.max_pixels, settings.max_side)
    recent_bytes = min(settings.feedback_bytes, memory_budget.total_bytes // _RECENT_SHARE)
    recorder = Recorder(
        Store(settings.data_dir),
        StoreLimits(
            settings.capture_max_bytes, settings.capture_max_photos, settings.capture_max_days
        ),
        memory_budget,
        recent_bytes,
        None
        if settings.capture_metadata
        else partial(without_metadata, limits=limits, memory=memory_budget),
        partial(cut_out, limits=limits, memory=memory_budget),
    )
    return CapturedPhotos(recorder, CaptureRule.parse(settings.capture), recent_bytes > 0)


def dataset_store(settings: Settings, memory_budget: MemoryBudget) -> DatasetStore | None:
    """Return what keeps datasets, or None without a folder for them.

    Raises:
        BadParameter: the folder can't be used.
    """
    if settings.data_dir is None:
        return None
    photo_limits = vision.Limits(settings.max_image_bytes, settings.max_pixels, settings.max_side)
    return DatasetStore(
        settings.data_dir,
        DatasetLimits(settings.dataset_max_bytes, settings.dataset_max_photos),
        PhotoCheck(photo_limits, memory_budget, settings.capture_metadata),
    )


def job_runner(
    settings: Settings,
    registry: Registry,
    model_memory: ModelMemory,
    uploads: UploadFiles | None,
) -> JobRunner | None:
    """Return what runs training jobs, or None without a folder for them.

    Raises:
        BadParameter: the folder can't be used.
    """
    data_dir = settings.data_dir
    if data_dir is None or uploads is None:
        return None
    data_dir = data_dir.resolve()
    files = JobFiles(data_dir)
    models = Models(registry, local_models(settings))
    run_settings = RunSettings(
        data_dir,
        settings.job_promote,
        partial(model_memory.job_bytes, settings.job_memory_bytes),
        model_memory.reserved,
        uploads.path,
    )

    def make_run(job: Job, report: Callable[[Progress], None]) -> Run:
        return Run(job, files, models, run_settings, report)

    return JobRunner(
        files, Checks(data_dir, models, uploads.path, run_settings.memory_bytes), make_run, models
    )


def local_models(settings: Settings) -> Path | None:
    """Return the models folder; None if the models are on S3, or if there is none."""
    return settings.models if isinstance(settings.models, Path) else None


def upload_limits(settings: Settings) -> UploadLimits:
    """Return the limits of uploads, and of the zips among them."""
    return UploadLimits(
        UploadTimes(settings.upload_timeout_s, settings.body_timeout_s),
        settings.upload_max_bytes,
        ZipLimits(settings.zip_max_files, settings.zip_max_bytes, settings.zip_max_ratio),
    )
