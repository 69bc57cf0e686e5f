#!/usr/bin/env bash
# Makes .venv-openmmlab: vidpose with mmpose and mmdet, for --keypoints mmpose:NAME and --detector mmdet:NAME.
#
# OpenMMLab's packages are of 2023 and 2024, and need some persuading beside a PyTorch of today; each step says what
# and why. It can be run again: what is done is left alone, and a compilation that was cut short goes on.
#   MAX_JOBS     how many files are compiled at a time                           [as many as there are processors]
#   FORCE_CUDA   1 compiles mmcv's operators for the GPU too, which takes nvcc   [0]
#   PYTHON       the Python it is made with                                      [python3]
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VENV=.venv-openmmlab
readonly SOURCE=$VENV/src/mmcv-2.1.0
readonly LOG=$VENV/mmcv-build.log
export MAX_JOBS=${MAX_JOBS:-$(nproc)} FORCE_CUDA=${FORCE_CUDA:-0}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '\n== %s\n' "$*"; }
in_venv() { "$VENV/bin/$1" "${@:2}"; }
trap 'say "FAILED at line $LINENO; once the cause is gone, run it again: it goes on from there" >&2' ERR

say "1/6 $VENV, with vidpose and PyTorch at the versions of constraints.txt"
[[ -x $VENV/bin/python ]] || "${PYTHON:-python3}" -m venv "$VENV"
in_venv pip install --quiet --constraint constraints.txt --editable '.[dev]'

say "2/6 setuptools < 81, which still has the pkg_resources that OpenMMLab imports, and what compiles mmcv"
in_venv pip install --quiet 'setuptools<81' wheel ninja cython

say "3/6 mmcv's source, made to compile as C++20, without which PyTorch's headers do not"
if [[ ! -f $SOURCE/setup.py ]]; then
    rm -rf "$VENV/src"
    in_venv pip download --quiet --no-deps --no-binary mmcv --no-build-isolation --dest "$VENV/src" mmcv==2.1.0
    tar -xzf "$SOURCE.tar.gz" -C "$VENV/src"
fi
sed -i 's/-std=c++1[47]/-std=c++20/g' "$SOURCE/setup.py"

say "4/6 mmcv, compiled for this PyTorch, MAX_JOBS=$MAX_JOBS: half an hour of processor time; its output is in $LOG"
if in_venv python -c 'import mmcv._ext' 2>/dev/null; then
    echo "it is there already"
else
    in_venv pip install --quiet --constraint constraints.txt mmengine==0.10.7
    # In its own folder, which keeps what is compiled for another try.
    (cd "$SOURCE" && MMCV_WITH_OPS=1 ../../bin/python setup.py bdist_wheel 2>&1) | tee "$LOG" |
        sed -nu 's|^\(\[[0-9]*/[0-9]*\]\) .*/\(.*\)\.o .*|\1 \2|p; /[Ee]rror:/p'
    in_venv pip install --quiet --no-deps "$SOURCE"/dist/mmcv-2.1.0-*.whl
fi

say "5/6 mmpose and mmdet, without what they name and never import, and what they do import"
in_venv pip install --quiet --constraint constraints.txt \
    json_tricks munkres pycocotools shapely terminaltables tqdm six
in_venv pip install --quiet --no-deps --no-build-isolation mmpose==1.3.2 mmdet==3.3.0 xtcocotools==1.14.3

say "6/6 does it run?"
in_venv python - <<'PYTHON'
import mmcv, mmdet, mmengine, mmpose, torch
from mmcv.ops import nms

boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist()
if kept != [0, 2]:
    raise SystemExit(f"mmcv's compiled operators give a wrong answer: {kept}")
for library in (torch, mmengine, mmcv, mmdet, mmpose):
    print(f"{library.__name__} {library.__version__}")
PYTHON

say "done: $VENV/bin/vidpose infer VIDEO --keypoints mmpose:NAME --keypoints-weights FILE"
