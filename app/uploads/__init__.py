"""Models that people send: an ONNX file, which an import makes a bundle of, or a bundle as a zip.

    a body on disk -> ONNX  -> its inputs and outputs, by its own structure -> kept for an import
                   -> a zip -> its directory is checked -> unpacked, to be verified and installed

Files that wait for an import expire.
"""

from app.uploads.bundle_upload import UnpackedBundle, unpack_bundle
from app.uploads.onnx_outline import OnnxOutline, Value
from app.uploads.upload_files import Upload, UploadFiles

__all__ = ["OnnxOutline", "UnpackedBundle", "Upload", "UploadFiles", "Value", "unpack_bundle"]
