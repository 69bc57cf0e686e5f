"""Which inputs are damaged how, and what is run on them; and odd options for every command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
import numpy as np

from campaign import damage
from campaign.damage import Damage, Random

_QUICK = "--device cpu --no-overlay"

_IN_A_PICTURE = f"{_QUICK} --no-fit --size 1920x1080 --fps 25"


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        path: the file that is damaged.
        damages: ways that know its structure; bytes are damaged besides.
        commands: that read it.
        share: how often it comes.
    """

    path: str
    damages: tuple[Damage, ...]
    commands: tuple[str, ...]
    share: float = 1.0


KINDS = (
    Kind("r.npz", (damage.damage_npz,) * 3, (
        "export r.npz --format bvh,c3d,coco,csv,gltf,html,json,mot,openpose,trc --out o", "angles r.npz --out o",
        "view r.npz --no-open --no-video --out o.html", "render r.npz --video big.mp4 --out o.mp4",
        f"infer --from-keypoints r.npz {_QUICK} --lifter w.safetensors --out o", "mesh r.npz --format glb,obj --out o",
    ), 6),
    Kind("w.safetensors", (damage.damage_weights,) * 3, (
        f"infer --from-keypoints r.npz {_QUICK} --lifter w.safetensors --out o", "weights info w.safetensors",
        "eval --dataset h36m --data store --weights w.safetensors --device cpu --json o.json",
    ), 4),
    Kind("tiny.toml", (damage.damage_text,) * 4, ("train tiny.toml --data shards --out o --device cpu",), 4),
    Kind("table.toml", (damage.damage_text,) * 4, ("ablate table.toml --data store --out o --device cpu",), 0.5),
    Kind("keypoints.toml", (damage.damage_text,) * 4, (
        "train-keypoints coco/annotations.json --held-out coco/annotations.json --workers 0 --arch keypoints.toml "
        "--device cpu --out o",
    ), 2),
    Kind("run/checkpoint.pt", (damage.damage_checkpoint,) * 3, (
        "train tiny.toml --data shards --out run --resume --device cpu",
    ), 3),
    Kind("p.pt", (damage.damage_checkpoint,) * 2, ("weights import p.pt --arch mixste --out o.safetensors",), 3),
    Kind("store/index.json", (damage.damage_json,) * 3, (
        "data info h36m --data store --picture o.png",
        "data clips h36m --data store --videos films --subjects S9 --frames 4 --every 1 --size 32 --out o",
        "data detect h36m --data store --videos films --device cpu",
        "eval --dataset h36m --data store --weights w.safetensors --device cpu --table o.md",
        "train store.toml --data store --out o "
        "--device cpu",
    ), 2),
    Kind("store/parts/all/clips.json", (damage.damage_json,) * 3, (
        "data info h36m --data store --picture o.png",
        "eval --dataset h36m --data store --weights w.safetensors --device cpu --table o.md",
    ), 2),
    Kind("store/parts/all/joints.npy", (damage.damage_npy,), (
        "data info h36m --data store --picture o.png",
        "eval --dataset h36m --data store --weights w.safetensors --device cpu --table o.md",
    )),
    Kind("store/parts/all/keypoints-gt.npy", (damage.damage_npy,), (
        "data info h36m --data store --picture o.png",
        "eval --dataset h36m --data store --weights w.safetensors --device cpu --input gt --table o.md",
    )),
    Kind("shards/cmu17_train_00.npz", (damage.damage_npz,) * 2, (
        "train tiny.toml --data shards --out o --device cpu",
        "synth --motion shards --clips 1 --views 1 --frames 1 --size 48 --out o",
    ), 2),
    Kind("prepared/cmu17_test_00.npz", (damage.damage_npz,) * 2, ("data prepare cmu --source prepared --out o",), 2),
    Kind("coco/annotations.json", (damage.damage_json,) * 4, (
        "train-keypoints coco/annotations.json --held-out coco/annotations.json --workers 0 --arch keypoints.toml "
        "--device cpu --out o",
    ), 2),
    Kind("k.safetensors", (damage.damage_weights,) * 3, (
        "weights info k.safetensors",
        "eval-keypoints coco/annotations.json --keypoints hrnet-w24=k.safetensors --device cpu",
    ), 2),
    Kind("q.safetensors", (damage.damage_weights,) * 3, ("weights info q.safetensors",)),
    Kind("clips/clip-00000/annotations.json", (damage.damage_json,) * 4, (
        "train-keypoints clips --held-out clips --arch temporal-relational-small --set steps=1 --set batch=1 "
        "--frames 2 --workers 0 --device cpu --out o",
    ), 1),
    Kind("amc/02.asf", (damage.damage_text,) * 3, ("data prepare cmu --source amc --out o",)),
    Kind("amc/02_01.amc", (damage.damage_text,) * 3, ("data prepare cmu --source amc --out o",)),
    Kind("bvh/02_01.bvh", (damage.damage_text,) * 3, ("data prepare cmu --source bvh --out o",)),
    Kind("bvh/splits.json", (damage.damage_json,), ("data prepare cmu --source bvh --out o",), 0.5),
    Kind("r.json", (damage.damage_json,) * 3, (
        f"infer --from-keypoints r.json {_QUICK} --lifter w.safetensors --out o",
    )),
    Kind("r.csv", (damage.damage_text,) * 3, (
        f"infer --from-keypoints r.csv {_QUICK} --lifter w.safetensors --out o",
    )),
    Kind("b.csv", (damage.damage_text,) * 3, (f"infer v.mp4 --detector boxes:b.csv {_QUICK} --no-fit --out o",), 1),
    Kind("b.json", (damage.damage_json,) * 3, (f"infer v.mp4 --detector boxes:b.json {_QUICK} --no-fit --out o",), 1),
    Kind("c.toml", (damage.damage_text,) * 4, (f"infer v.mp4 v2.mp4 --calibration c.toml {_QUICK} --out o",), 2),
    Kind("c.yml", (damage.damage_text,) * 4, (f"infer v.mp4 v2.mp4 --calibration c.yml {_QUICK} --out o",), 2),
    Kind("list.txt", (damage.damage_text,) * 2, (f"batch list.txt {_QUICK} --no-fit --workers 1 --out o",), 0.5),
    *(Kind(f"many/{path}", (damage.damage_json,) * 3, (
        f"batch list.txt {_QUICK} --no-fit --workers 1 --out many",
    ), 0.5) for path in ("batch.json", "v/record.json")),
    Kind("v.mp4", (), (
        f"infer v.mp4 {_QUICK} --no-fit --out o", "live v.mp4 --no-open --port 0 --device cpu --out o.npz",
    )),
    Kind("big.mp4", (), (
        "render r.npz --video big.mp4 --out o.mp4",
        "view r.npz --video big.mp4 --no-open --out o.html",
    ), 2),
    *(Kind(path, (way,) * 3, (f"infer --from-keypoints {given} {_IN_A_PICTURE} --lifter w.safetensors --out o",))
      for path, way, given in (
        ("op/my_walk_2_000000000003_keypoints.json", damage.damage_json, "op"),
        ("mm.json", damage.damage_json, "mm.json"), ("mp.json", damage.damage_json, "mp.json"),
        ("j.coco.json", damage.damage_json, "j.coco.json"), ("mp.npy", damage.damage_npy, "mp.npy"),
        ("mp.csv", damage.damage_text, "mp.csv"), ("dlc.csv", damage.damage_text, "dlc.csv"),
        ("dlc.h5", damage.damage_bytes, "dlc.h5"),
    )),
    *(Kind(path, (way,) * 3, (f"infer --from-keypoints {path} {_QUICK} --out o",)) for path, way in (
        ("j.trc", damage.damage_text), ("j.bvh", damage.damage_text), ("j.c3d", damage.damage_bytes),
        ("j.glb", damage.damage_glb),
    )),
    *(Kind(path, (damage.damage_text,) * 3, (f"infer v.mp4 v2.mp4 --calibration {path} {_QUICK} --out o",))
      for path in ("c.xml", "c.qca.txt", "c.xcp", "caliscope.toml")),
    Kind("mot.txt", (damage.damage_text,) * 3, (f"infer v.mp4 --detector boxes:mot.txt {_QUICK} --no-fit --out o",)),
    Kind("cuts.txt", (damage.damage_text,) * 3, (f"infer v.mp4 --cuts cuts.txt {_QUICK} --no-fit --out o",)),
    Kind("d.onnx", (), (
        f"infer v.mp4 --detector rtmdet-nano --detector-weights d.onnx {_QUICK} --no-fit --out o",
    )),
    Kind("p.onnx", (), (
        f"infer v.mp4 --detector boxes:b.csv --keypoints rtmpose-t --keypoints-weights p.onnx {_QUICK} --no-fit "
        "--out o",
    )),
    Kind("old.bin", (), ("weights import old.bin --arch mixste --out o.safetensors",)),
    Kind("SMPL_MALE.npz", (damage.damage_npz,) * 3, (
        "mesh r.npz --body SMPL_MALE.npz --format smpl,glb --out o",
    )),
    Kind("map.toml", (damage.damage_text,) * 3, (
        "data prepare motion --source motion-bvh --skeleton map.toml --out o",
    )),
    Kind("motion-trc/j.trc", (damage.damage_text,) * 3, ("data prepare motion --source motion-trc --out o",)),
    Kind("motion-c3d/j.c3d", (), ("data prepare motion --source motion-c3d --out o",)),
    Kind("motion-bvh/a.bvh", (damage.damage_text,) * 3, (
        "data prepare motion --source motion-bvh --skeleton map.toml --out o",
    )),
    Kind("h36m-arrays/data_3d_h36m.npz", (), ("data prepare h36m --source h36m-arrays --out o",), 0.5),
    Kind("humaneva-arrays/data_3d_humaneva15.npz", (), (
        "data prepare humaneva --source humaneva-arrays --out o",
    ), 0.5),
    *(Kind(f"begun/walk_keypoints/{segment}.npz", (damage.damage_npz,) * 3, (
        f"infer walk.mp4 --detector blazepose --keypoints blazepose-lite {_QUICK} --no-fit --resume --segment 0.09s "
        "--out begun",
    )) for segment in ("0001", "0002")),
)  # fmt: skip


WITHOUT_INPUTS = (
    "models", "synth --list", "weights list", "weights verify", "weights fetch hrnet-w48-nowhere",
    "weights remove hrnet-w48-nowhere",
)  # fmt: skip
"""Commands that read nothing of the user's."""


def damaged_input(rng: Random) -> tuple[Kind, Damage, list[str]]:
    """A kind, a way to damage it, and a command that reads it."""
    shares = np.array([kind.share for kind in KINDS])
    kind = KINDS[rng.choice(len(KINDS), p=shares / shares.sum())]
    ways = (*kind.damages, damage.damage_bytes)
    return kind, ways[rng.integers(len(ways))], kind.commands[rng.integers(len(kind.commands))].split()


OPTIONS = (
    "", "0", "-1", "1e308", "nan", "inf", "-inf", "1e999", "99999999999999999999", "a", "..", "/", "/dev/null",
    "/dev/zero", "r.npz", "no/such/file", "\x1b[31m", "two\nlines", "走", "a" * 300, "a,b", ",", "=", "x=1", "1:2",
    ":", "auto", "cuda:99", "meta",
)  # fmt: skip
SETTINGS = (
    "batch=0", "batch=99999999", "lr=nan", "lr=1e308", "ema=1", "seed=-1", "model.width=7", "model.depth=99999",
    "model.frames=1", "model.frames=10", "model.heads=3", "model.dropout=1", "model=3", "model.model.model=1",
    "data.flip=x", "data.window=1", "data.stride=999999", "schedule.name=x", "schedule.warmup=0",
    "augmentation.fps=[60,20]", "augmentation.fps=[1]", "loss.mpjpe=-1", "arch=mixste", "arch=[]", "steps=0",
    "epochs=0", "keep=x", "clip=-1", "clip=inf", "x=", "=", "a.b.c=1", "model.channels=9",
)  # fmt: skip


def odd_options(cli: click.Group, rng: Random) -> list[str]:
    """A sound command with an odd value for one of its options, or an odd argument."""
    kind = rng.integers(len(KINDS) + 1)
    commands = KINDS[kind].commands if kind < len(KINDS) else WITHOUT_INPUTS
    words = commands[rng.integers(len(commands))].split()
    if words[0] == "train" and rng.random() < 0.5:
        return [*words, "--set", SETTINGS[rng.integers(len(SETTINGS))]]
    command = command_of(cli, words)
    # A browser that opens, and a compiler that takes minutes, are left out.
    options = [option for option in command.params if isinstance(option, click.Option)]
    options = [option for option in options if option.name not in ("opening", "compiled", "rerun")] or [None]
    option = options[rng.integers(len(options))]
    if option is None:
        return [*words, OPTIONS[rng.integers(len(OPTIONS))]]
    flag = option.opts[rng.integers(len(option.opts))]
    if rng.random() < 0.1:
        words[rng.integers(1, len(words))] = OPTIONS[rng.integers(len(OPTIONS))]
        return words
    return [*words, flag] if option.is_flag else [*words, f"{flag}={OPTIONS[rng.integers(len(OPTIONS))]}"]


def command_of(cli: click.Group, words: Sequence[str]) -> click.Command:
    """The program's command that words begin with."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command


def program_commands(group: click.Group) -> Iterator[click.Command]:
    """Every command that the program lists, those within `data` and `weights` too."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from program_commands(command)
        else:
            yield command


def all_commands() -> Iterator[list[str]]:
    """Every command of the campaign, once: those that faults are done to."""
    for command in dict.fromkeys([*(command for kind in KINDS for command in kind.commands), *WITHOUT_INPUTS]):
        yield command.split()
