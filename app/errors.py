"""Every error that Hubel expects, as one tree; nothing here knows HTTP.

    HubelError
    |-- InputError                what was sent can't be used
    |   |-- NotAnImage            no image format begins like these bytes
    |   |-- UnsupportedFormat     an image, of a format that isn't read
    |   |-- BrokenImage           a known format, broken or cut short inside
    |   |-- TooManyBytes          the body is larger than the limit
    |   |-- TooManyPixels         the header announces more pixels than the limit
    |   |-- TooManyFiles          more files in one request than the limit
    |   |-- BadParameter          a parameter or a field can't be understood
    |   `-- BodyTooSlow           the body did not arrive in time
    |-- AccessError
    |   |-- Unauthenticated       no key, or a wrong one
    |   `-- Forbidden             a right key without the scope that is needed
    |-- ModelError
    |   |-- UnknownModel          no model of that name, or no such version
    |   |-- ModelNotReady         known, but refused, or still being loaded
    |   |-- NotInModel            the model has no such layer, label, embedding, filters or report
    |   `-- BundleError           a bundle that must not serve
    |       |-- BundleInvalid     unreadable, or not of the schema
    |       `-- BundleMismatch    files, graph or golden images aren't what bundle.json says
    |-- CapacityError
    |   |-- QueueFull             more work is waiting than can be done in time
    |   |-- DeadlinePassed        the answer would have come too late
    |   `-- ClientGone            whoever asked has left
    `-- DeviceUnavailable         the device that was asked for can't be had

`code` is stable and for programs; the message is one or two sentences for people, the last
of which says what to do.
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
        """What happened and what to do about it."""
        return str(self)


class InputError(HubelError):
    """What was sent can't be used."""

    code = "bad_input"
    title = "Bad input"


class NotAnImage(InputError):
    """No image format begins like these bytes."""

    code = "not_an_image"
    title = "Not an image"


class UnsupportedFormat(InputError):
    """An image, of a format that isn't read."""

    code = "unsupported_format"
    title = "Unsupported image format"


class BrokenImage(InputError):
    """A known format, broken or cut short inside."""

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


class TooManyFiles(InputError):
    """More files in one request than the limit."""

    code = "too_many_files"
    title = "Too many files"


class BadParameter(InputError):
    """A parameter or a field can't be understood."""

    code = "bad_parameter"
    title = "Bad parameter"


class BodyTooSlow(InputError):
    """The body did not arrive in time."""

    code = "body_too_slow"
    title = "Body too slow"


class AccessError(HubelError):
    """The caller may not do this."""

    code = "access_denied"
    title = "Access denied"


class Unauthenticated(AccessError):
    """No key, or a wrong one."""

    code = "unauthenticated"
    title = "Unauthenticated"


class Forbidden(AccessError):
    """A right key without the scope that is needed."""

    code = "forbidden"
    title = "Forbidden"


class ModelError(HubelError):
    """Something is the matter with a model."""

    code = "model_error"
    title = "Model error"


class UnknownModel(ModelError):
    """No model of that name, or no such version."""

    code = "unknown_model"
    title = "Unknown model"


class ModelNotReady(ModelError):
    """Known, but refused, or still being loaded."""

    code = "model_not_ready"
    title = "Model not ready"


class NotInModel(ModelError):
    """The model has no such layer, label, embedding, filters or report."""

    code = "not_in_model"
    title = "Not in this model"


class BundleError(ModelError):
    """A bundle that must not serve."""

    code = "bundle_error"
    title = "Bundle error"


class BundleInvalid(BundleError):
    """Unreadable, or not of the schema."""

    code = "bundle_invalid"
    title = "Invalid bundle"


class BundleMismatch(BundleError):
    """Files, graph or golden images aren't what bundle.json says."""

    code = "bundle_mismatch"
    title = "Bundle mismatch"


class CapacityError(HubelError):
    """The service can't do this work now."""

    code = "no_capacity"
    title = "No capacity"


class QueueFull(CapacityError):
    """More work is waiting than can be done in time.

    Attributes:
        retry_after_s: whole seconds after which the queue is likely to have room, at least 1.
    """

    code = "queue_full"
    title = "Queue full"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlinePassed(CapacityError):
    """The answer would have come too late."""

    code = "deadline_passed"
    title = "Deadline passed"


class ClientGone(CapacityError):
    """Whoever asked has left before the work was begun."""

    code = "client_gone"
    title = "Client gone"


class DeviceUnavailable(HubelError):
    """The device that was asked for can't be had."""

    code = "device_unavailable"
    title = "Device unavailable"


_MAX_QUOTED_CHARACTERS = 300


def first_line_of(err: Exception) -> str:
    """Return the first line of another library's error, short enough to quote in a sentence."""
    lines = str(err).splitlines() or [type(err).__name__]
    return lines[0][:_MAX_QUOTED_CHARACTERS]
