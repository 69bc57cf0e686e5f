"""Several calibrated views: calibrations, who is who across views, points in space."""

from vidpose.views.calibration import load_calibration
from vidpose.views.cameras import Calibration, ViewCamera, assign

__all__ = ["Calibration", "ViewCamera", "assign", "load_calibration"]
