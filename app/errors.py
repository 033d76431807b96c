"""The tree of all errors that Hubel expects; they are independent of HTTP.

    HubelError
    |-- InputError                the input can't be used
    |   |-- NotAnImage            the bytes begin like no known image format
    |   |-- UnsupportedFormat     an image in a format that Hubel doesn't read
    |   |-- BrokenImage           a known format, but corrupt or truncated
    |   |-- TooManyBytes          the body is larger than the limit
    |   |-- TooManyPixels         the header announces more pixels than the limit
    |   |-- TooMuchMemory         the work needs more memory than the service has
    |   |-- TooManyFiles          more files than the limit
    |   |-- NotAModel             neither an ONNX file nor a zip with a bundle
    |   |-- BadArchive            a zip that can't be unpacked, or holds nothing that is used
    |   |-- BadParameter          a parameter or a field is invalid
    |   |-- ModelRequired         no model is named, and there is no default model
    |   `-- BodyTooSlow           the body did not arrive in time
    |-- AccessError               the caller may not do this
    |   |-- Unauthenticated       the API key is missing or wrong
    |   |-- TooManyWrongKeys      the client's address has sent many wrong keys
    |   |-- KeyLimitExceeded      the API key has a limit, which the request exceeds
    |   `-- Forbidden             the API key lacks the required scope
    |-- ModelError                a model can't do what was requested
    |   |-- UnknownModel          no model of that name, or no such version
    |   |-- ModelNotReady         the model was refused, unloaded, or changed on disk while loaded
    |   |-- NotInModel            the model has no such layer, label, embedding, filters or report
    |   |-- ModelOutputInvalid    the model returned NaN or infinity
    |   |-- PinFileInvalid        the file of pinned versions can't be used
    |   |-- ModelStoreUnavailable the model store can't be read
    |   `-- BundleError           a bundle that can't be served
    |       |-- BundleInvalid     unreadable, or it violates the schema
    |       |-- BundleMismatch    files, graph or golden photos contradict bundle.json
    |       `-- BundleMissing     the folder of a loaded bundle is missing
    |-- CapacityError             the service can't do this work now
    |   |-- QueueFull             requests would wait for too long, or hold too much memory
    |   |-- OutOfMemory           the process has no memory left for the work
    |   |-- DeadlinePassed        the response would come too late
    |   `-- ClientGone            the client disconnected before its response
    |-- StoreError                about photos that are kept for labelling and training
    |   |-- StoreOff              the service keeps none
    |   |-- UnknownCapture        there is no such photo among the captures
    |   |-- UnknownDataset        there is no dataset of that name
    |   |-- UnknownPhoto          the dataset has no such photo
    |   |-- UnknownUpload         there is no such upload, or it has expired
    |   |-- StoreFull             the datasets have reached their limits
    |   `-- StoreFailed           the store can't be read or changed now
    |-- JobError                  about training jobs
    |   |-- TrainingUnavailable   this installation can't train
    |   |-- ModelsReadOnly        a new version has no place in the models folder
    |   |-- UnknownJob            there is no such job
    |   `-- JobConflict           the job's state doesn't allow that
    |-- VectorIndexError          about an index of similar photos
    |   |-- UnknownIndex          the service has no index of that name, or for that model
    |   `-- IndexInvalid          it is damaged, or was made with another bundle
    `-- DeviceUnavailable         the requested device can't be used

`code` is stable and for programs. The message is for people: one or two sentences; the last
usually says what to do.
"""

from typing import ClassVar


class HubelError(Exception):
    """The base of all expected errors.

    Attributes:
        code: a stable identifier in snake_case, part of the public interface.
        title: the kind of error in a few words, the same for all errors of a class.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    @property
    def message(self) -> str:
        """The sentences that say what happened and what to do about it."""
        return str(self)


class InputError(HubelError):
    """The input can't be used."""

    code = "bad_input"
    title = "Bad input"


class NotAnImage(InputError):
    """The bytes begin like no known image format."""

    code = "not_an_image"
    title = "Not an image"


class UnsupportedFormat(InputError):
    """The image has a format that Hubel doesn't read."""

    code = "unsupported_format"
    title = "Unsupported image format"


class BrokenImage(InputError):
    """The image has a known format, but is corrupt or truncated."""

    code = "broken_image"
    title = "Broken image"


class TooManyBytes(InputError):
    """The body is larger than the limit."""

    code = "too_many_bytes"
    title = "Too many bytes"


class TooManyPixels(InputError):
    """The header announces more pixels than the limit."""

    code = "too_many_pixels"
    title = "Too many pixels"


class TooMuchMemory(InputError):
    """The work needs more memory than the service has, even when it is idle."""

    code = "too_much_memory"
    title = "Too much memory"


class TooManyFiles(InputError):
    """The request has more files than the limit."""

    code = "too_many_files"
    title = "Too many files"


class NotAModel(InputError):
    """The body is neither an ONNX file nor a zip with a bundle."""

    code = "not_a_model"
    title = "Not a model"


class BadArchive(InputError):
    """The zip can't be unpacked, or holds nothing that can be used."""

    code = "bad_archive"
    title = "Bad archive"


class BadParameter(InputError):
    """A parameter or a field is invalid."""

    code = "bad_parameter"
    title = "Bad parameter"


class ModelRequired(InputError):
    """The request names no model, and there is no default model."""

    code = "model_required"
    title = "Model required"


class BodyTooSlow(InputError):
    """The body did not arrive in time."""

    code = "body_too_slow"
    title = "Body too slow"


class AccessError(HubelError):
    """The caller may not do this."""

    code = "access_denied"
    title = "Access denied"


class Unauthenticated(AccessError):
    """The API key is missing or wrong."""

    code = "unauthenticated"
    title = "Unauthenticated"


class TooManyWrongKeys(AccessError):
    """The API key is wrong, and the client's address has sent many wrong keys.

    Attributes:
        retry_after_s: whole seconds after which a wrong key gets 401 again, at least 1.
    """

    code = "too_many_wrong_keys"
    title = "Too many wrong keys"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyLimitExceeded(AccessError):
    """The API key has a limit of requests or images, which this request exceeds.

    Attributes:
        retry_after_s: whole seconds after which the key may send more, at least 1.
    """

    code = "key_limit_exceeded"
    title = "Key limit exceeded"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Forbidden(AccessError):
    """The API key is valid but lacks the required scope."""

    code = "forbidden"
    title = "Forbidden"


class ModelError(HubelError):
    """A model can't do what was requested."""

    code = "model_error"
    title = "Model error"


class UnknownModel(ModelError):
    """There is no model of that name, or no such version of it."""

    code = "unknown_model"
    title = "Unknown model"


class ModelNotReady(ModelError):
    """The model was refused or unloaded, or its files changed after it was loaded."""

    code = "model_not_ready"
    title = "Model not ready"


class NotInModel(ModelError):
    """The model has no such layer, label, embedding, filters or report."""

    code = "not_in_model"
    title = "Not in this model"


class ModelOutputInvalid(ModelError):
    """The model returned NaN or infinity.

    Attributes:
        precision: the precision of the graph that did; None where it isn't known.
    """

    code = "model_output_invalid"
    title = "Invalid model output"

    def __init__(self, message: str, *, precision: str | None = None) -> None:
        super().__init__(message)
        self.precision = precision


class PinFileInvalid(ModelError):
    """The file of pinned versions can't be read, or isn't one."""

    code = "pin_file_invalid"
    title = "Invalid pin file"


class ModelStoreUnavailable(ModelError):
    """The model store can't be read."""

    code = "model_store_unavailable"
    title = "Model store unavailable"


class BundleError(ModelError):
    """The bundle can't be served."""

    code = "bundle_error"
    title = "Bundle error"


class BundleInvalid(BundleError):
    """The bundle is unreadable or violates the schema."""

    code = "bundle_invalid"
    title = "Invalid bundle"


class BundleMismatch(BundleError):
    """The bundle's files, graph or golden photos contradict bundle.json."""

    code = "bundle_mismatch"
    title = "Bundle mismatch"


class BundleMissing(BundleError):
    """The folder of a loaded bundle is missing; the model serves on."""

    code = "bundle_missing"
    title = "Bundle missing"


class CapacityError(HubelError):
    """The service can't do this work now."""

    code = "no_capacity"
    title = "No capacity"


class QueueFull(CapacityError):
    """The request would wait for too long, or memory is full.

    Attributes:
        retry_after_s: whole seconds after which the queue is likely to have room, at least 1.
    """

    code = "queue_full"
    title = "Queue full"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutOfMemory(CapacityError):
    """The process has no memory left for the work."""

    code = "out_of_memory"
    title = "Out of memory"


class DeadlinePassed(CapacityError):
    """The response would come too late."""

    code = "deadline_passed"
    title = "Deadline passed"


class ClientGone(CapacityError):
    """The client disconnected before its response was ready."""

    code = "client_gone"
    title = "Client gone"


class StoreError(HubelError):
    """The store of photos that are kept for labelling and training can't do this."""

    code = "store_error"
    title = "Store error"


class StoreOff(StoreError):
    """The service keeps no photos."""

    code = "store_off"
    title = "No store"


class UnknownCapture(StoreError):
    """The store has no such photo, and it isn't among the last ones."""

    code = "unknown_capture"
    title = "Unknown photo"


class UnknownDataset(StoreError):
    """There is no dataset of that name."""

    code = "unknown_dataset"
    title = "Unknown dataset"


class UnknownPhoto(StoreError):
    """The dataset has no such photo."""

    code = "unknown_photo"
    title = "Unknown photo"


class UnknownUpload(StoreError):
    """There is no such upload, or it has expired."""

    code = "unknown_upload"
    title = "Unknown upload"


class StoreFull(StoreError):
    """The datasets have reached their limits of photos or bytes."""

    code = "store_full"
    title = "Store full"


class StoreFailed(StoreError):
    """The store can't be read or changed now: its disk is full, or its folder is gone."""

    code = "store_failed"
    title = "Store failed"


class JobError(HubelError):
    """A training job can't do this."""

    code = "job_error"
    title = "Job error"


class TrainingUnavailable(JobError):
    """This installation lacks what training needs."""

    code = "training_unavailable"
    title = "Training unavailable"


class ModelsReadOnly(JobError):
    """A new version of a model can't be written to the models folder."""

    code = "models_read_only"
    title = "Models folder can't be written"


class UnknownJob(JobError):
    """There is no such job."""

    code = "unknown_job"
    title = "Unknown job"


class JobConflict(JobError):
    """The state of the job doesn't allow that."""

    code = "job_conflict"
    title = "Job in another state"


class VectorIndexError(HubelError):
    """An index of similar photos can't be used."""

    code = "index_error"
    title = "Index error"


class UnknownIndex(VectorIndexError):
    """The service has no index of that name, or none for that model."""

    code = "unknown_index"
    title = "Unknown index"


class IndexInvalid(VectorIndexError):
    """The index is damaged, or was made with another bundle than the one that is loaded."""

    code = "index_invalid"
    title = "Invalid index"


class DeviceUnavailable(HubelError):
    """The requested device can't be used."""

    code = "device_unavailable"
    title = "Device unavailable"


_MEMORY_REASONS = ("bad_alloc", "allocate memory", "can't start new thread")
"""Parts of messages where a library, or the system, had no memory and raised something else."""


def out_of_memory(err: BaseException) -> OutOfMemory | None:
    """Return the expected error in place of one that says that memory is used up; else None."""
    is_memory = isinstance(err, MemoryError) or (
        not isinstance(err, HubelError) and any(reason in str(err) for reason in _MEMORY_REASONS)
    )
    if not is_memory:
        return None
    return OutOfMemory(
        "The service had no memory left for this. Try again later, or send less at once."
    )


_MAX_QUOTED_CHARACTERS = 300


def first_line_of(err: Exception) -> str:
    """Return the first line of another library's error, short enough to quote in a sentence."""
    lines = str(err).splitlines() or [type(err).__name__]
    return lines[0][:_MAX_QUOTED_CHARACTERS]
