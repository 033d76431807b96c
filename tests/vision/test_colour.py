import struct
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.bundle import InputSpec
from app.vision import CANVAS, decode, resize
from app.vision.icc_profile import MAX_PROFILE_BYTES, srgb_transform

# Primaries as columns, X Y Z adapted to D50 (Bradford), from the profiles' own specifications.
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
DISPLAY_P3 = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
D50 = (0.9642, 1.0, 0.8249)


def srgb_to_linear(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(v):
    v = np.clip(v, 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Build an ICC version 2 profile from the specification alone."""
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    tags = {b"wtpt": xyz(D50), **tags}
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += padded
    head = struct.pack(">I4sI4s4s4s12s4s", 0, bytes(4), 0x02400000, kind, space, connection,
                       bytes(12), b"acsp")  # fmt: skip
    head += bytes(28) + struct.pack(">iii", *(round(v * 65536) for v in D50))
    head = head.ljust(128, b"\0")
    whole = head + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(v * 65536) for v in values))


def curve(function) -> bytes:
    values = np.clip(function(np.linspace(0, 1, 1024)), 0, 1)
    table = (values * 65535).round().astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(table)) + table.tobytes()


def rgb_profile(primaries, function) -> bytes:
    columns = {name: xyz(primaries[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(function))
    return profile(b"RGB ", b"XYZ ", columns | curves)


def grey_profile(function) -> bytes:
    return profile(b"GRAY", b"XYZ ", {b"kTRC": curve(function)})


def cmyk_profile() -> bytes:
    """Build a profile whose table has two steps per ink; its corners are Lab values."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T  # C slowest, K fastest
    lightness = 100 * (1 - corners[:, 3]) * (1 - 0.25 * corners[:, :3].sum(axis=1))
    a = 128 + 50 * corners[:, 1] - 40 * corners[:, 0]
    b = 128 + 70 * corners[:, 2] - 40 * corners[:, 0]
    table = np.stack([lightness * 2.55, a, b], axis=1).round().astype(np.uint8)
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix
    lut += straight * 4 + table.tobytes() + straight * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": lut})


ADOBE = rgb_profile(ADOBE_RGB, lambda v: v ** (563 / 256))
P3 = rgb_profile(DISPLAY_P3, srgb_to_linear)
SRGB_OWN = rgb_profile(SRGB, srgb_to_linear)
SRGB_LITTLECMS = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_18 = grey_profile(lambda v: v**1.8)
CMYK = cmyk_profile()


def to_srgb_by_matrix(pixels, primaries, function):
    linear = function(pixels / 255.0) @ primaries.T @ np.linalg.inv(SRGB).T
    return 255 * linear_to_srgb(linear)


def to_srgb_by_littlecms(image: Image.Image, icc: bytes) -> Image.Image:
    return ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )  # fmt: skip


@pytest.fixture
def image(scene):
    return scene(CANVAS, CANVAS)


@pytest.mark.parametrize(
    ("icc", "meaning"),
    [(ADOBE, (ADOBE_RGB, lambda v: v ** (563 / 256))), (P3, (DISPLAY_P3, srgb_to_linear))],
    ids=["adobe-rgb", "display-p3"],
)
def test_wide_gamut_colours_are_converted_to_srgb(image, encode, limits, icc, meaning):
    expected = to_srgb_by_matrix(np.asarray(image), *meaning)
    for format in ("PNG", "WEBP"):
        data = encode(image, format, icc_profile=icc, lossless=True, method=0)
        canvas = decode(data, limits).canvas.astype(np.float64)
        assert np.abs(canvas - expected).max() <= 3
    assert np.abs(expected - np.asarray(image)).max() > 20  # the profile does something


@pytest.mark.parametrize("icc", [SRGB_OWN, SRGB_LITTLECMS], ids=["tables", "parametric"])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_srgb_profiles_leave_pixels_untouched(image, encode, limits, format, icc):
    data = encode(image, format, icc_profile=icc)
    assert np.array_equal(decode(data, limits).canvas, decode(encode(image, format), limits).canvas)
    assert srgb_transform(icc, "RGB") is None


@pytest.mark.parametrize("size", [(CANVAS, CANVAS), (640, 480), (700, 500), (2400, 1800)], ids=str)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("icc", [ADOBE, P3], ids=["adobe-rgb", "display-p3"])
def test_a_models_input_with_a_profile_is_close_to_the_canvas_resized(
    scene, encode, limits, icc, format, size
):
    spec = InputSpec(size=240, crop=1, resample="box")
    picture = decode(encode(scene(*size), format, icc_profile=icc), limits)
    difference = np.abs(resize(picture, spec).astype(int) - resize(picture.canvas, spec))
    assert difference.mean() < 0.5
    plain = decode(encode(scene(*size), format), limits)
    profiled = np.abs(resize(picture, spec).astype(int) - resize(plain, spec))
    assert profiled.mean() > 5 * difference.mean()  # the profile does something


@pytest.mark.parametrize("size", [(1920, 1440), (700, 500)], ids=str)
@pytest.mark.parametrize("icc", [ADOBE, P3], ids=["adobe-rgb", "display-p3"])
def test_converting_the_canvas_is_like_converting_the_photo(scene, encode, limits, icc, size):
    data = encode(scene(*size), "JPEG", quality=95, icc_profile=icc)
    first = decode(data, limits).canvas.astype(int)
    with Image.open(BytesIO(data)) as photo:
        converted = to_srgb_by_littlecms(photo, icc)
    second = decode(encode(converted, "PNG", compress_level=1), limits).canvas
    assert np.abs(first - second).mean() < 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profiles_apply_to_grey_images(encode, limits, mode):
    ramp = np.tile(np.linspace(0, 255, CANVAS).round().astype(np.uint8), (CANVAS, 1))
    grey = Image.fromarray(ramp).convert(mode)
    canvas = decode(encode(grey, "PNG", icc_profile=GREY_18), limits).canvas
    expected = 255 * linear_to_srgb((ramp / 255) ** 1.8)
    assert np.abs(canvas.astype(np.float64) - expected[..., None]).max() <= 2
    assert np.abs(expected - ramp).max() > 10


def test_colours_are_converted_before_alpha_is_flattened_onto_white(image, encode, limits):
    alpha = Image.new("L", image.size, 128)
    both = image.copy()
    both.putalpha(alpha)
    canvas = decode(encode(both, "PNG", icc_profile=ADOBE), limits).canvas.astype(np.float64)
    colours = to_srgb_by_matrix(np.asarray(image), ADOBE_RGB, lambda v: v ** (563 / 256))
    assert np.abs(canvas - (colours * 128 + 255 * 127) / 255).max() <= 3


def ink_to_rgb(ink):
    """Convert (…, 4) ink 0..255 to (…, 3) RGB: R = (1 - C)(1 - K), and so on."""
    ink = ink.astype(np.float64) / 255
    return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])


def adobe_segment(data: bytes) -> int:
    at = data.index(b"\xff\xee\0\x0eAdobe")
    assert at < data.index(b"\xff\xda")
    return at


@pytest.fixture
def inks(scene):
    """A CMYK image with some of every ink."""
    cmy = np.asarray(scene(CANVAS, CANVAS))
    black = np.tile(np.linspace(0, 200, CANVAS).astype(np.uint8), (CANVAS, 1)).T
    return Image.fromarray(np.ascontiguousarray(np.dstack([cmy, black])), "CMYK")


@pytest.fixture
def cmyk_jpeg(inks, encode):
    return encode(inks, "JPEG", quality=95, subsampling=0)


def stored_ink(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as file:
        return np.asarray(file)


def test_cmyk_by_adobe_is_inverted(cmyk_jpeg, inks, limits):
    canvas = decode(cmyk_jpeg, limits).canvas.astype(np.float64)
    assert np.abs(canvas - ink_to_rgb(stored_ink(cmyk_jpeg))).max() <= 1
    assert np.abs(canvas - ink_to_rgb(np.asarray(inks))).mean() < 2


def test_cmyk_by_others_is_not_inverted(inks, encode, limits):
    # Pillow writes what Adobe would; without its segment the same samples mean the opposite.
    negative = Image.fromarray(255 - np.asarray(inks), "CMYK")
    data = encode(negative, "JPEG", quality=95, subsampling=0)
    at = adobe_segment(data)
    data = data[:at] + data[at + 16 :]
    canvas = decode(data, limits).canvas.astype(np.float64)
    assert np.abs(canvas - ink_to_rgb(np.asarray(inks))).mean() < 2


def test_ycck_is_converted_to_cmyk(cmyk_jpeg, limits):
    # Called YCCK, the same samples are Y, Cb, Cr and K, inverted by Adobe.
    y, cb, cr, k = np.moveaxis(255.0 - stored_ink(cmyk_jpeg), -1, 0)
    red = y + 1.402 * (cr - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    ink = np.clip(np.stack([red, green, blue, 255 - k], axis=-1), 0, 255)
    at = adobe_segment(cmyk_jpeg) + 15
    assert cmyk_jpeg[at] == 0
    ycck = cmyk_jpeg[:at] + b"\2" + cmyk_jpeg[at + 1 :]
    assert np.abs(decode(ycck, limits).canvas - ink_to_rgb(ink)).max() <= 2


def test_cmyk_is_converted_by_its_profile(inks, encode, limits):
    data = encode(inks, "JPEG", quality=95, icc_profile=CMYK)
    with Image.open(BytesIO(data)) as file:
        expected = np.asarray(to_srgb_by_littlecms(file, CMYK)).astype(int)
        naive = np.asarray(file.convert("RGB")).astype(int)
    canvas = decode(data, limits).canvas
    assert np.abs(canvas - expected).max() <= 1
    assert np.abs(expected - naive).mean() > 20


def test_cmyk_without_ink_is_white_under_a_profile(encode, limits):
    white = Image.new("CMYK", (CANVAS, CANVAS))
    canvas = decode(encode(white, "JPEG", icc_profile=CMYK), limits).canvas
    assert canvas.min() >= 253


@pytest.mark.parametrize(
    ("mode", "icc"),
    [
        ("RGB", b"no profile at all"),
        ("RGB", ADOBE[:200]),
        ("RGB", ADOBE[:-3000]),
        ("RGB", ADOBE[:36] + b"nope" + ADOBE[40:]),
        ("RGB", GREY_18),
        ("RGB", CMYK),
        ("RGB", ADOBE + bytes(MAX_PROFILE_BYTES)),
        ("L", ADOBE),
        ("CMYK", ADOBE),
    ],
    ids=[
        "nonsense", "cut", "cut-in-a-curve", "signature", "grey-for-rgb", "cmyk-for-rgb", "huge",
        "rgb-for-grey", "rgb-for-cmyk",
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_used_is_ignored(image, encode, limits, mode, icc):
    picture = image.convert(mode)
    data = encode(picture, "JPEG", icc_profile=icc)
    expected = decode(encode(picture, "JPEG"), limits).canvas
    assert np.array_equal(decode(data, limits).canvas, expected)


def test_threads_share_transforms(scene, encode, limits):
    pictures = [
        encode(scene(500 + 20 * i, 480), "JPEG", icc_profile=icc)
        for i in range(4)
        for icc in (ADOBE, P3, None)
    ]
    pictures.append(encode(scene(500, 500).convert("CMYK"), "JPEG", icc_profile=CMYK))
    alone = [decode(data, limits).canvas for data in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, limits).canvas, pictures * 12))
    for i, canvas in enumerate(together):
        assert np.array_equal(canvas, alone[i % len(pictures)])


def test_transforms_are_cached(image, encode, limits):
    data = encode(image, "PNG", icc_profile=P3)
    decode(data, limits)
    assert srgb_transform(P3, "RGB") is srgb_transform(bytes(bytearray(P3)), "RGB")
