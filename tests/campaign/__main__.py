"""python -m campaign --seed 1 --inputs 3000 --faults 200: damaged inputs, odd options and faults, and what they do."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from campaign import forks, jobs, sound


class Campaign:
    """Runs in fresh folders, and a count of what ends wrong.

    Args:
        keep: where to leave the folders of what ends wrong.
    """

    def __init__(self, sound_inputs: Path, keep: Path | None, seconds: float) -> None:
        self.sound, self.keep, self.seconds = sound_inputs, keep, seconds
        self.counts: dict[str, Counter[str]] = {}

    def attempt(self, title: str, words: list[str], folder: Path, **faults: object) -> None:
        """Run a command in a folder, and count how it ends."""
        before = forks.files_of(folder)
        ending = forks.run(words, folder, seconds=self.seconds, **faults)
        wrong = list(forks.faults(ending, folder, before, interrupted="interrupt" in faults))
        kind = title.split()[0]
        count = self.counts.setdefault(kind, Counter())
        count["tried"] += 1
        count["refused"] += ending.code in (1, 2)
        for problem in wrong:
            count[problem.split()[0]] += 1
        if wrong:
            last = ending.err.strip().splitlines()[-1:]
            print(f"{title}: {', '.join(wrong)}\n    vidpose {' '.join(map(repr, words))}\n    {last}", flush=True)
            if self.keep:
                place = self.keep / title.replace(" ", "-").replace("/", "_")
                shutil.copytree(folder, place, dirs_exist_ok=True)
                (place / "command.txt").write_text(f"{words!r}\n{ending.err}")

    def fresh(self) -> tempfile.TemporaryDirectory[str]:
        place = tempfile.TemporaryDirectory(prefix="campaign-")
        shutil.copytree(self.sound, Path(place.name) / "in")
        return place

    def damaged_input(self, seed: int, number: int) -> None:
        rng = np.random.default_rng([seed, 0, number])
        kind, way, words = jobs.damaged_input(rng)
        with self.fresh() as place:
            folder = Path(place) / "in"
            path = folder / kind.path
            try:
                way(path, rng)
            except Exception:  # a damage that the tools of that kind cannot write
                return
            self.attempt(f"{kind.path} {seed}-{number} {way.__name__}", words, folder)

    def odd_option(self, seed: int, number: int) -> None:
        from vidpose.cli import cli

        rng = np.random.default_rng([seed, 1, number])
        with self.fresh() as place:
            self.attempt(f"option {seed}-{number}", jobs.odd_options(cli, rng), Path(place) / "in")

    def fault(self, seed: int, number: int) -> None:
        """A signal at a random moment; then, after a kill, the same command again."""
        rng = np.random.default_rng([seed, 2, number])
        commands = list(jobs.all_commands())
        words = commands[rng.integers(len(commands))]
        with self.fresh() as place:
            folder = Path(place) / "in"
            kill = signal.SIGKILL if rng.random() < 0.5 else signal.SIGINT
            title = f"{kill.name} {seed}-{number}"
            self.attempt(title, words, folder, interrupt=(float(rng.uniform(0, 1.5)), kill))
            again = [*words, "--overwrite"] if words[0] != "data" and "--resume" not in words else words
            self.attempt(f"again {seed}-{number}", again, folder)


def repeat(job: Callable[[int, int], None], seed: int, times: int, until: float) -> None:
    for number in range(times):
        if time.monotonic() > until:
            return
        job(seed, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--options", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=600.0, help="end after so long, whatever is left")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a processor that a command may take")
    parser.add_argument("--keep", type=Path, help="folder for what ends wrong")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="campaign-sound-") as place:
        sound.write(Path(place))
        forks.warm_up()
        campaign = Campaign(Path(place), given.keep, given.seconds)
        repeat(campaign.damaged_input, given.seed, given.inputs, until)
        repeat(campaign.odd_option, given.seed, given.options, until)
        repeat(campaign.fault, given.seed, given.faults, until)
    bad = 0
    for kind, count in sorted(campaign.counts.items()):
        bad += sum(number for name, number in count.items() if name not in ("tried", "refused"))
        print(f"{kind:34}" + ", ".join(f"{name} {number}" for name, number in count.items() if number))
    tried = sum(count["tried"] for count in campaign.counts.values())
    print(f"seed {given.seed}: {tried} runs, {bad} of them end wrong")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
