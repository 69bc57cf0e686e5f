"""Records in tests/data what TensorFlow Lite and TensorFlow.js make of one picture with BlazePose and NanoDet.

    pip install ai-edge-litert && npm install @tensorflow/tfjs
    python scripts/record_people_networks.py FOLDER    # of scripts/convert_people_networks.py, with node_modules in it

The picture is 256 x 256 pixels around a rendered person. The detector sees its middle, NanoDet all of it, larger by a
black edge.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from convert_people_networks import ORIGINS, read

from vidpose.video import VideoReader

_SAMPLE, _FRAME, _CORNER, _SIDE = "samples/walk-wave.mp4", 30, (60, 60), 360
_BEST = 48  # anchors whose boxes are recorded: those most likely a person

_NODE = """
const tf = require('@tensorflow/tfjs'), fs = require('fs'), folder = process.argv[2];
const json = JSON.parse(fs.readFileSync(folder + '/package/models/nanodet.json'));
const weights = fs.readFileSync(folder + '/package/models/nanodet.bin');
const specs = json.weightsManifest.flatMap(g => g.weights);
const data = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length);
const artifacts = {modelTopology: json.modelTopology, weightSpecs: specs, weightData: data, signature: json.signature};
const raw = fs.readFileSync(folder + '/picture.bin');
const picture = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
(async () => {
  await tf.setBackend('cpu');
  const model = await tf.loadGraphModel({load: async () => artifacts});
  const names = ['Identity', ...[1, 2, 3, 4, 5].map(i => 'Identity_' + i)];
  const out = await model.executeAsync(tf.tensor(picture, [1, 3, 416, 416]), names);
  const plain = out.map(t => ({shape: t.shape, data: Array.from(t.dataSync())}));
  fs.writeFileSync(folder + '/out.json', JSON.stringify(plain));
})();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("tests/data/people_networks.npz"))
    args = parser.parse_args()
    with VideoReader(_SAMPLE) as video:
        image = next(frame.image for frame in video if frame.index == _FRAME)
    y, x = _CORNER
    picture = cv2.resize(image[y : y + _SIDE, x : x + _SIDE], (256, 256), interpolation=cv2.INTER_AREA)
    recorded = {"picture_png": cv2.imencode(".png", picture[..., ::-1])[1]}
    for name in ("lite", "full", "heavy"):
        found = run_tflite(read(args.folder, ORIGINS[f"blazepose-{name}"]), picture / np.float32(255))
        landmarks, presence, _, heatmaps, world = found
        recorded |= {
            f"{name}_landmarks": landmarks[0],
            f"{name}_presence": presence[0],
            f"{name}_heatmaps": heatmaps[0, ::4, ::4].transpose(2, 0, 1),
            f"{name}_world": world[0],
        }
    middle = picture[16:-16, 16:-16] / np.float32(127.5) - 1
    regions, logits = run_tflite(read(args.folder, ORIGINS["blazepose-detector"]), middle)
    best = np.argsort(-logits[0, :, 0])[:_BEST]
    recorded |= {"detector_logits": logits[0, :, 0], "detector_best": best, "detector_regions": regions[0, best]}
    people, bins = run_tensorflow_js(args.folder, picture)
    best = np.argsort(-people)[:_BEST]
    recorded |= {"nanodet_people": people, "nanodet_best": best, "nanodet_bins": bins[best]}
    np.savez_compressed(args.out, **recorded)


def run_tflite(content: bytes, picture_HWC: np.ndarray) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture_HWC[None].astype(np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def run_tensorflow_js(folder: Path, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a person (A,) and logits of the boxes (A, 4, 11)."""
    large = np.zeros((416, 416, 3), np.float32)
    large[80:-80, 80:-80] = picture[..., ::-1]
    standard = (large - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        with tarfile.open(folder / ORIGINS["nanodet"].package) as package:
            for end in ("json", "bin"):
                package.extract(f"package/models/nanodet.{end}", made, filter="data")
        Path(made, "run.js").write_text(_NODE)
        Path(made, "picture.bin").write_bytes(standard.transpose(2, 0, 1).astype(np.float32).tobytes())
        subprocess.run(["node", "run.js", "."], cwd=made, check=True)  # noqa: S607
        found = [
            np.array(part["data"]).reshape(part["shape"]) for part in json.loads(Path(made, "out.json").read_text())
        ]
    people = np.concatenate([part[0, :, 0] for part in found[:3]])
    return people.astype(np.float32), np.concatenate([part[0] for part in found[3:]]).reshape(-1, 4, 11)


if __name__ == "__main__":
    main()
