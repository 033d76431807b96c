"""Weights are rounded to seven bits, and their errors compensate on real inputs."""

import numpy as np
import pytest

from training.int8.gptq import MAX_INTEGER, Moments, round_weights


def _correlated(groups=1, count=4000, width=48, seed=0):
    """Return patches (G, P, K) from few latent factors, with a mean that is not zero."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(groups, count, 6))
    mixed = factors @ rng.normal(size=(groups, 6, width)) + rng.normal(2, 0.3, (groups, 1, width))
    return (mixed + 0.1 * rng.normal(size=mixed.shape)).astype(np.float32)


def _weight(outputs=16, width=48, seed=1):
    return np.random.default_rng(seed).normal(size=(outputs, width, 1, 1)).astype(np.float32)


def _squared_error(weight, patches, expected):
    """Return the error of the outputs around their means, on patches of one group."""
    rounded = patches[0] @ weight.reshape(len(weight), -1).T
    return float(np.var(rounded - expected, axis=0).mean())


def _by_itself(weight):
    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / MAX_INTEGER
    return np.rint(weight / scale) * scale


def test_errors_compensate_on_inputs_like_those_of_the_calibration():
    weight, patches = _weight(), _correlated(count=6000)
    calibration, fresh = patches[:, :4000], patches[:, 4000:]
    expected = fresh[0] @ weight[:, :, 0, 0].T
    alone = _squared_error(_by_itself(weight), fresh, expected)
    together = _squared_error(
        round_weights(weight, Moments.of(calibration)).weight, fresh, expected
    )
    assert together < alone / 4


def test_two_products_always_fit_in_sixteen_bits():
    weight = _weight()
    weight[0, 0] = 40  # next to it the others are small
    rounded = round_weights(weight, Moments.of(_correlated()))
    assert rounded.integers.dtype == np.int8
    assert np.abs(rounded.integers).max() == MAX_INTEGER
    assert 2 * MAX_INTEGER * 255 < 2**15


def test_the_mean_error_of_each_channel_is_returned():
    weight, patches = _weight(), _correlated()
    rounded = round_weights(weight, Moments.of(patches))
    short = (patches[0] @ (weight - rounded.weight)[:, :, 0, 0].T).mean(axis=0)
    assert np.abs(short).max() > 1e-3
    assert rounded.mean_error == pytest.approx(short, abs=1e-4)


def test_groups_use_their_own_moments():
    patches, weight = _correlated(groups=2), _weight()
    together = round_weights(weight, Moments.of(patches))
    for group, part in enumerate((slice(0, 8), slice(8, 16))):
        alone = round_weights(weight[part], Moments.of(patches[group : group + 1]))
        assert (together.integers[part] == alone.integers).all()
        assert together.mean_error[part] == pytest.approx(alone.mean_error)


def test_more_weights_than_a_block_are_rounded_as_published():
    """Compare with algorithm 1 of Frantar et al., without its blocks."""
    patches, weight = _correlated(width=150), _weight(outputs=3, width=150)
    rounded = round_weights(weight, Moments.of(patches))
    rest = weight[:, :, 0, 0] / rounded.scale[:, None].astype(np.float64)
    covariance = np.cov(patches[0].astype(np.float64), rowvar=False, bias=True)
    variance = np.diagonal(covariance)
    damped = covariance + 0.01 * variance.mean() * np.eye(150)
    order = np.argsort(-variance)
    shifts = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    rest = rest[:, order]
    expected = np.zeros_like(rest)
    for column in range(150):
        expected[:, column] = np.clip(np.rint(rest[:, column]), -MAX_INTEGER, MAX_INTEGER)
        error = (rest[:, column] - expected[:, column]) / shifts[column, column]
        rest[:, column:] -= error[:, None] * shifts[column, column:]
    back = expected[:, np.argsort(order)]
    assert (
        rounded.integers[:, :, 0, 0] == back
    ).mean() > 0.99  # covariances differ in their last bits


def test_zero_weights_stay_zero_and_zero_inputs_do_no_harm():
    dark = Moments.of(np.zeros((1, 10, 3), np.float32))
    assert not round_weights(np.zeros((2, 3, 1, 1), np.float32), dark).integers.any()
    rounded = round_weights(np.ones((2, 3, 1, 1), np.float32), dark)
    assert rounded.weight == pytest.approx(np.ones((2, 3, 1, 1)), rel=0.01)


@pytest.mark.parametrize("spread", [0, 1e-4])
def test_channels_that_hardly_change_are_rounded_too(spread):
    """Such channels occur behind a ReLU6 that is always at 6, or with photos of one colour."""
    rng = np.random.default_rng(0)
    patches = rng.uniform(0.1, 6, (40, 1, 9)) + spread * rng.normal(size=(40, 500, 9))
    weight = rng.normal(size=(40, 1, 3, 3)).astype(np.float32)
    sums = Moments.of(patches[:, :10].astype(np.float32))
    for start in range(10, 500, 10):
        sums += Moments.of(patches[:, start : start + 10].astype(np.float32))
    rounded = round_weights(weight, sums)
    step = rounded.scale[:, np.newaxis, np.newaxis, np.newaxis]
    assert np.isfinite(rounded.weight).all()
    assert np.abs(rounded.weight - weight).max() < 10 * step.max()
    short = (patches.mean(axis=1) * (weight - rounded.weight).reshape(40, 9)).sum(axis=1)
    assert rounded.mean_error == pytest.approx(short, abs=1e-3)


def test_moments_add_up():
    patches = _correlated(count=30)
    sums = Moments.of(patches[:, :10])
    sums += Moments.of(patches[:, 10:])
    assert sums.mean[0] == pytest.approx(patches[0].mean(axis=0), rel=1e-5)
    expected = np.cov(patches[0], rowvar=False, bias=True)
    assert sums.covariance[0] == pytest.approx(expected, abs=1e-3)
