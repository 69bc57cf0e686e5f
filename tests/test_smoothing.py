"""What filters say of themselves: their limits, their units, their names."""

import re

import numpy as np
import pytest

from vidpose.common.errors import UsageError
from vidpose.refine.smoothing import FILTERS, Smoothing, list_filters


@pytest.mark.parametrize("text", ["fast", "none:3", "", ":6"])
def test_the_error_of_an_unknown_filter_names_those_there_are(text):
    with pytest.raises(UsageError, match="known are butterworth, savgol, one-euro and none"):
        Smoothing.parse(text)


@pytest.mark.parametrize("parameter", ["", "x", "nan", "-1", "0", "inf"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_filters_limits_are_those_that_its_error_states(name, parameter):
    with pytest.raises(UsageError) as refused:
        Smoothing.parse(f"{name}:{parameter}")
    lowest, highest = (float(number) for number in re.search(r"takes (\S+) to (\S+) ", str(refused.value)).groups())
    times = np.arange(60) / 30
    curve = np.sin(2 * np.pi * 0.7 * times)[:, None]
    for value in (lowest, highest):
        smoothed = Smoothing.parse(f"{name}:{value:g}")(curve, times)
        assert np.isfinite(smoothed).all()
        assert np.abs(smoothed).max() < 3
    for value in (lowest * 0.9, highest * 1.1):
        with pytest.raises(UsageError, match=f"{lowest:g} to {highest:g}"):
            Smoothing.parse(f"{name}:{value:g}")


def test_filters_are_listed_with_their_units():
    assert list_filters() == "butterworth:HZ, savgol:SECONDS, one-euro:HZ or none"


@pytest.mark.parametrize("name", ["butterworth", "savgol", "one-euro"])
def test_a_frame_a_tick_after_another_moves_nothing(name):
    """Its noise is no slope: what comes out is what came out without the frame."""
    rng = np.random.default_rng(0)
    times = np.arange(90) / 30
    curves = np.sin(3 * times)[:, None, None] + rng.normal(0, 0.01, (90, 2, 3))
    smooth = FILTERS[name]
    plain = smooth.smooth(curves, times, smooth.default)
    twice, moments = np.insert(curves, 41, curves[40] + 0.03, axis=0), np.insert(times, 41, times[40] + 1 / 90_000)
    smoothed = np.delete(smooth.smooth(twice, moments, smooth.default), 41, axis=0)
    np.testing.assert_allclose(smoothed, plain, atol=0.02)
