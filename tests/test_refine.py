import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from vidpose.body.stretches import bridgeable, stretches
from vidpose.common.errors import UsageError
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.smoothing import CLOCK_HZ, Smoothing


def motion(times: np.ndarray) -> np.ndarray:
    """A joint that swings at 0.7 and 1.9 Hz, (N, 1, 3)."""
    return np.stack([np.sin(2 * np.pi * 0.7 * times), 0.3 * np.cos(2 * np.pi * 1.9 * times), times], axis=-1)[:, None]


@pytest.mark.parametrize("method", ["butterworth:6", "savgol:0.25"])
def test_the_frame_rate_does_not_change_the_curve(method):
    slow, fast = np.arange(0, 3, 1 / 30), np.arange(0, 3, 1 / 60)
    smooth = Smoothing.parse(method)
    at_30, at_60 = smooth(motion(slow), slow), smooth(motion(fast), fast)
    assert np.abs(at_30[6:-6] - at_60[::2][6:-6]).max() < 1e-3


def test_one_euro_at_two_frame_rates_agrees_within_its_lag():
    slow, fast = np.arange(0, 3, 1 / 30), np.arange(0, 3, 1 / 60)
    smooth = Smoothing.parse("one-euro:2")
    at_30, at_60 = smooth(motion(slow), slow), smooth(motion(fast), fast)
    assert np.abs(at_30 - at_60[::2]).max() < 0.06
    # In frames instead of seconds, the same filter would lag twice as far at half the rate.
    in_frames = smooth(motion(slow), slow / 2)
    assert np.abs(in_frames - at_60[::2]).max() > 0.12


def test_variable_frame_rates_give_the_same_curve():
    rng = np.random.default_rng(0)
    even = np.arange(0, 3, 1 / 60)
    uneven = np.sort(np.delete(even, rng.choice(np.arange(1, 179), 60, replace=False)))
    smooth = Smoothing.parse("butterworth")
    expected = smooth(motion(even), even)[np.searchsorted(even, uneven)]
    inside = (uneven > 0.3) & (uneven < 2.7)
    assert np.abs(smooth(motion(uneven), uneven) - expected)[inside].max() < 5e-3


def test_butterworth_keeps_slow_motion_without_lag_and_removes_jitter():
    times = np.arange(0, 4, 1 / 50)
    slow, fast = np.sin(2 * np.pi * times)[:, None], np.sin(2 * np.pi * 18 * times)[:, None]
    smoothed = Smoothing.parse("butterworth:6")(slow + fast, times)
    assert np.abs(smoothed - slow)[20:-20].max() < 0.05
    # -6 dB at the cut-off: half the amplitude.
    at_cutoff = Smoothing.parse("butterworth:6")(np.sin(2 * np.pi * 6 * times)[:, None], times)
    assert np.abs(at_cutoff[50:-50]).max() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("cutoff", [0.1, 6, 79])
@pytest.mark.parametrize("length", [5, 1000])
def test_butterworth_is_that_of_scipy(cutoff, length):
    times = np.arange(length) / CLOCK_HZ  # on the filter's own clock, where interpolation changes nothing
    curves = np.random.default_rng(0).normal(size=(length, 3)).cumsum(axis=0)
    sections = signal.butter(2, cutoff, fs=CLOCK_HZ, output="sos")
    expected = signal.sosfiltfilt(sections, curves, axis=0, padlen=min(round(CLOCK_HZ / cutoff), length - 1))
    np.testing.assert_allclose(Smoothing.parse(f"butterworth:{cutoff}")(curves, times), expected, atol=1e-7)


@pytest.mark.parametrize("method", ["butterworth", "savgol", "one-euro", "none"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
def test_short_tracks_come_through(method, length):
    times = np.arange(length) / 30
    curves = motion(times).astype(np.float32)
    smoothed = Smoothing.parse(method)(curves, times)
    assert smoothed.shape == curves.shape
    assert smoothed.dtype == np.float32
    assert np.abs(smoothed - curves).max() < 0.5


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(4, 60), rate=st.floats(5, 240), method=st.sampled_from(["butterworth:6", "savgol", "one-euro"])
)
def test_a_still_joint_stays_still(length, rate, method):
    times = 3 + np.arange(length) / rate
    curves = np.full((length, 2, 3), 0.25)
    np.testing.assert_allclose(Smoothing.parse(method)(curves, times), curves, atol=1e-6)


@pytest.mark.parametrize("text", ["fast", "butterworth:-1", "butterworth:x", "savgol:0", "none:3", "butterworth:nan"])
def test_unknown_smoothing_is_a_usage_error(text):
    with pytest.raises(UsageError):
        Smoothing.parse(text)


def test_short_gaps_are_filled_and_long_ones_stay():
    times = np.arange(60) / 30
    truth = motion(times)
    curves = truth.copy()
    curves[:3] = curves[10:16] = curves[25:50] = np.nan
    filled = fill_gaps(curves, times, max_seconds=0.5)
    assert np.abs(filled[10:16] - truth[10:16]).max() < 0.1
    assert np.isnan(filled[:3]).all(), "the beginning is not extrapolated"
    assert np.isnan(filled[25:50]).all()
    kept = np.isfinite(curves).all(axis=(1, 2))
    assert (filled[kept] == curves[kept]).all()


def test_stretches_and_bridges():
    there = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], bool)
    assert stretches(there) == [slice(1, 3), slice(4, 5), slice(8, 9)]
    assert bridgeable(there, np.arange(9.0), 2.0).tolist() == [False, True, True, True, True, False, False, False, True]


@pytest.mark.parametrize("method", ["butterworth:6", "savgol:0.25"])
def test_long_clips_are_smoothed_in_pieces_to_the_same_curves(method, monkeypatch):
    times = np.arange(200) / 30
    curves = np.random.default_rng(0).normal(size=(200, 17, 3))
    whole = Smoothing.parse(method)(curves, times)
    monkeypatch.setattr("vidpose.refine.smoothing._AT_ONCE", 4000)
    np.testing.assert_allclose(Smoothing.parse(method)(curves, times), whole, atol=1e-12)
