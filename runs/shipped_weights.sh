#!/usr/bin/env bash
# From motion capture as it is published to the lifters that come with vidpose, and to the figures of docs/accuracy.md.
#
#   runs/shipped_weights.sh SOURCE [LIFTER...]
#
# SOURCE is a folder with what http://mocap.cs.cmu.edu gives out: subjects/NN/NN.asf and NN_MM.amc, or BVH conversions
# named NN_MM.bvh. LIFTERs are rows of recipes/cmu17.toml; without any, the two of the default. Each is trained, and then its
# doubt: what is shipped is both. What is done already is left alone, and a training that was interrupted goes on: run it
# again.
#
# The weights that are shipped also learned from UI-PRMD, whose markers were made into joints elsewhere: put such shards,
# cmu17_train_NN.npz, beside those that this makes, or other people's by `vidpose data prepare motion --out data/cmu17`.
set -euo pipefail
cd "$(dirname "$0")/.."
source=${1:?usage: runs/shipped_weights.sh SOURCE [LIFTER...]}
shift
lifters=("$@")
((${#lifters[@]})) || lifters=(single-branch martinez)

train() { # LIFTER RUN [OPTION...]
    local lifter=$1 run=$2 again=()
    shift 2
    [[ -f $run/weights.safetensors ]] && return
    [[ -f $run/checkpoint.pt ]] && again=(--resume)
    vidpose train "cmu17/$lifter" --data data/cmu17 --out "$run" "$@" ${again[@]+"${again[@]}"}
}

vidpose data prepare cmu17 --source "$source" --out data/cmu17
vidpose data info cmu17 --data data/cmu17
vidpose data prepare cmu --source data/cmu17 --out data/cmu

weights=()
for lifter in "${lifters[@]}"; do
    run=runs/cmu17/$lifter
    if grep -q "^\[rows.$lifter-poses\]" recipes/cmu17.toml; then
        train "$lifter-poses" "$run-poses"
    fi
    train "$lifter" "$run"
    train "$lifter" "$run-doubt" --init "$run/weights.safetensors" --half \
        --set model.doubt=256 --set steps=2500 --set batch=256 --set bf16=false
    weights+=(--weights "$run-doubt/weights.safetensors")
done

for input in gt detector; do
    vidpose eval --dataset cmu --input $input "${weights[@]}"
done
