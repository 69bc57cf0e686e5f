"""A live run: a source, the steps, and the ways out, wired together."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vidpose.common.devices import choose_device
from vidpose.common.errors import UsageError
from vidpose.keypoints.network_table import CLIP_NETWORKS
from vidpose.lifters.zoo import open_lifter
from vidpose.live.feet_and_hands import FeetAndHands
from vidpose.live.floor import FloorBelow
from vidpose.live.newest import NewestFrames
from vidpose.live.osc import OscOutlet
from vidpose.live.outlet import LiveFrame, Outlet
from vidpose.live.recording import LiveRecording
from vidpose.live.stepper import LiveStepper, check_causal
from vidpose.live.streaming import Streaming
from vidpose.live.vmc import VmcOutlet
from vidpose.live.web import WebOutlet, listen
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.refine.focal import Lens
from vidpose.refine.smoothing import Smoothing
from vidpose.video.live_sources import LiveSource, open_source

_OF_LATE = 100
"""Frames that the latency shown while it runs is of."""


@dataclass
class LiveReport:
    """What a run has done so far.

    Attributes:
        frames: with people looked for.
        dropped: that came and went before anybody had time for them.
        latencies: milliseconds from when each picture came to when its joints were sent.
    """

    frames: int = 0
    dropped: int = 0
    latencies: array[float] = field(default_factory=lambda: array("f"))
    _started: float = field(default_factory=time.monotonic)

    def add(self, frame: LiveFrame) -> None:
        """Note a frame that has just been sent."""
        self.frames += 1
        self.dropped = frame.captured.dropped
        self.latencies.append(frame.latency())

    def latency(self, percentile: float, frames: int = 0) -> float:
        """Milliseconds that so many per cent of the frames, or of the last few, took at most; NaN before the first."""
        return float(np.percentile(self.latencies[-frames:], percentile)) if self.latencies else float("nan")

    def now(self) -> str:
        """How it goes, for people."""
        return f"{self.dropped} dropped, latency {self.latency(50, _OF_LATE):.0f} ms"

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        late = f", latency {self.latency(50):.0f} ms (p50), {self.latency(95):.0f} ms (p95)" if self.frames else ""
        return f"{self.frames} frames in {seconds:.1f} s, {self.dropped} dropped{late}"


def run_live(
    source: str,
    finding: Finding,
    streaming: Streaming,
    lens: Lens,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
    on_frame: Callable[[LiveReport], None] = lambda report: None,
    recording: LiveRecording | None = None,
) -> LiveReport:
    """Run until the source ends, or Ctrl-C.

    Args:
        source: the number of a camera, the address of a stream, or a video.
        finding: who is looked for.
        on_ready: called with the address of the page, once somebody can look at it.
        on_frame: called after every frame.
        recording: gets what was seen in each.

    Raises:
        UsageError, VidposeError: what was asked for cannot be; or the source ends with an error.
    """
    streaming.check()
    lens.check()
    finding.check([Path(source)])
    if finding.keypoints in CLIP_NETWORKS:
        raise UsageError(
            f"`keypoints={finding.keypoints}`: looks at clips, whose frames are still to come; take another"
        )
    with ExitStack() as out:
        opened = out.enter_context(closing(open_source(source)))
        listener = out.enter_context(listen(streaming.host, streaming.port))
        stepper = out.enter_context(_stepper(opened, finding, streaming, lens))
        web = out.enter_context(closing(WebOutlet(listener, stepper.nobody)))
        programs: list[Outlet] = []
        if streaming.osc:
            programs.append(out.enter_context(closing(OscOutlet(streaming.osc))))
        if streaming.vmc:
            programs.append(out.enter_context(closing(VmcOutlet(streaming.vmc, stepper.nobody.joint_layout))))
        on_ready(web.url)
        report, whole = LiveReport(), FeetAndHands()
        try:
            for frame in _frames(opened, stepper):
                web.send(frame)
                if programs:
                    with_ends = replace(frame, result=whole(frame.result))
                    for outlet in programs:
                        outlet.send(with_ends)
                report.add(frame)
                if recording is not None:
                    recording.add(frame.result)
                on_frame(report)
        except KeyboardInterrupt:
            pass
        return report


@contextmanager
def _stepper(source: LiveSource, finding: Finding, streaming: Streaming, lens: Lens) -> Iterator[LiveStepper]:
    smoothing, device = Smoothing.parse(streaming.smooth), choose_device(streaming.device)
    weights = open_lifter(streaming.lifter, device, finding.threads)
    check_causal(weights, smoothing)
    size = source.width, source.height
    lens.camera(*size)
    with finding.open(device) as networks:
        finder = PeopleFinder(
            finding.max_people, finding.min_score, networks=networks, detect_every=finding.detect_every
        )
        stepper = LiveStepper(finder, weights, smoothing, lens, name=source.name, size=size)
        stepper.warm_up()
        yield stepper


def _frames(source: LiveSource, stepper: LiveStepper) -> Iterator[LiveFrame]:
    floor = FloorBelow()
    with NewestFrames(source) as newest:
        for captured in newest:
            frame = captured.frame
            result = stepper.step(frame.image, frame.time, frame.index)
            yield LiveFrame(captured, result, floor(result))
