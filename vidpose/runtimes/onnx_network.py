"""Running ONNX files: the only room that knows ONNX Runtime.

OpenMMLab publishes its networks as archives of its SDK, each with one ONNX file in it; both are read.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.common.errors import VidposeError, one_line
from vidpose.common.inputs import open_input, read_bytes, reading

if TYPE_CHECKING:
    import onnxruntime

_MAX_MIB = 2048  # of an ONNX file: the format holds no more


class OnnxNetwork:
    """A network that takes pictures (N, 3, H, W) float32.

    Attributes:
        path: the file it came from.
        size: (W, H) of the pictures it takes; None: any.
    """

    def __init__(
        self,
        path: Path,
        outputs: Sequence[str],
        device: str = "cpu",
    ) -> None:
        """Load the network.

        Args:
            path: an .onnx file, or an SDK archive (.zip) with one in it.
            outputs: the names of its outputs, in the order in which a call gives them.
            device: `cuda` where ONNX Runtime can use it; it runs on the CPU where it cannot.

        Raises:
            VidposeError: ONNX Runtime is not installed; the file cannot be read, or is of a network with other inputs
                or outputs.
        """
        self.path = path
        self._session = _session(path, device)
        inputs = {i.name: i.shape for i in self._session.get_inputs()}
        given = [o.name for o in self._session.get_outputs()]
        if not (len(inputs) == 1 and all(map(_is_picture, inputs.values())) and set(outputs) <= set(given)):
            raise VidposeError(
                f"{path}: takes {_words(inputs)} and gives {', '.join(given)}; expected a network that takes one "
                f"picture (N x 3 x H x W) and gives {', '.join(outputs)}"
            )
        ((self._input, (batch, _, height, width)),) = inputs.items()
        self._outputs = list(outputs)
        self._batch = batch if isinstance(batch, int) else None
        self.size = (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def __call__(self, images_NCHW: np.ndarray) -> list[np.ndarray]:
        """The outputs for N pictures, float32.

        Raises:
            VidposeError: the network fails on them.
        """
        step = self._batch or len(images_NCHW)
        try:
            parts = [
                self._session.run(self._outputs, {self._input: images_NCHW[i : i + step]})
                for i in range(0, len(images_NCHW), step)
            ]
        except Exception as error:  # as of `_session`
            raise VidposeError(f"{self.path}: fails on a picture ({one_line(error)})") from None
        return parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]


class OnnxGraph:
    """A graph that comes with vidpose, whose weights lie in another file of its folder; on the CPU.

    It is opened in a thread: that needs little of Python, so that meanwhile the rest is imported and frames are read.

    Args:
        path: the .onnx file.
        threads: of the CPU to use; None: as many as there are.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._path = path
        opener = ThreadPoolExecutor(1)
        self._opening = opener.submit(_session, path, "cpu", threads, ours=True)
        opener.shutdown(wait=False)

    def __call__(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names, for all its inputs by name.

        Raises:
            VidposeError: it or its weights are damaged, or it fails on these inputs.
        """
        session = self._opening.result()
        try:
            return session.run(list(outputs), inputs)
        except Exception as error:  # as of `_session`
            raise VidposeError(f"{self._path}: fails ({one_line(error)})") from None


def _session(
    path: Path, device: str, threads: int | None = None, *, ours: bool = False
) -> onnxruntime.InferenceSession:
    """ONNX Runtime with a network; as of `OnnxNetwork`, or of `OnnxGraph` where the file is ours."""
    # It would send its maker what it runs, and keep a number of the machine; it reads this when it is loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise VidposeError(f"{path}: needs ONNX Runtime ({error}): pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    # To plan which tensors share memory takes half the time of opening a graph of many small operations, and spares
    # none: what is no longer needed goes back in any case.
    options.enable_mem_reuse = not ours
    # Threads that wait in a loop take the processor from decoding and drawing, and halve the speed of a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    on_gpu = device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = ["CUDAExecutionProvider"] * on_gpu + ["CPUExecutionProvider"]
    # A file of somebody else's may not read other files.
    content = str(path) if ours else _read(path)
    try:
        return onnxruntime.InferenceSession(content, options, providers)
    except Exception as error:  # its exceptions have no common base
        raise VidposeError(f"{path}: not an ONNX network that can be run ({one_line(error)})") from None


def _read(path: Path) -> bytes:
    with reading(path, "an ONNX network, or an archive of one", "get it again"):
        with open_input(path) as file:
            is_archive = zipfile.is_zipfile(file)
        if not is_archive:
            return read_bytes(path, _MAX_MIB << 20)
        with zipfile.ZipFile(path) as archive:
            networks = [entry for entry in archive.infolist() if entry.filename.endswith(".onnx")]
            if len(networks) != 1 or networks[0].file_size > _MAX_MIB << 20:
                raise VidposeError(f"{path}: an archive with {len(networks)} .onnx files; expected one, below 2 GiB")
            return archive.read(networks[0])


def _is_picture(shape: list[int | str | None]) -> bool:
    """Whether an input may be one; a dimension that may vary is a name or None."""
    return len(shape) == 4 and (shape[1] == 3 or not isinstance(shape[1], int))


def _words(shapes: dict[str, list[int | str | None]]) -> str:
    return ", ".join(f"{name} ({' x '.join(map(str, shape))})" for name, shape in shapes.items())
