"""nerfstudio's trainer with a step that does not wait for the GPU, and runs that go on exactly where they stopped."""

from __future__ import annotations

import shlex
import signal
import sys
from contextlib import suppress
from functools import cached_property, partial, reduce
from pathlib import Path
from threading import Lock
from typing import Any, Literal, cast

import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils import profiler, writer
from nerfstudio.utils.decorators import check_main_thread
from nerfstudio.utils.misc import step_check
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from disconerf_ns.compat.folder_lock import alone_in
from disconerf_ns.compat.opened_run import keep_masks
from disconerf_ns.compat.process import prepare_process
from disconerf_ns.compat.stop_request import Stopped, StopRequest
from disconerf_ns.config import DiscoNerfModelConfig, check_training_options
from disconerf_ns.files import sweep
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training.captured import StepResults
from disconerf_ns.training.checkpoint_files import checkpoint_to_resume, newest, save_whole
from disconerf_ns.training.fair_lock import FairLock
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.randomness import restore_randomness, state_of_randomness
from disconerf_ns.training.same_scene import check_same_scene
from disconerf_ns.training.step import TrainingStep

OURS = "disconerf"
"""Entry of a checkpoint with what nerfstudio does not store."""
GIVEN_ANEW = ("--load-dir", "--load-step", "--load-checkpoint")
"""Options that the command which goes on from a stop has values of its own for."""


class DiscoNerfTrainer(Trainer):
    """Steps of the same values as nerfstudio's, on one GPU captured as CUDA graphs where the pipeline allows it.

    nerfstudio's step asks for the gradient scale twice, to hold schedulers back after a step that was skipped; this
    method has none. Accumulated or logged gradients and schedulers take nerfstudio's own step. Several devices add up
    their gradients after each step; nerfstudio's DistributedDataParallel could not follow parameters that change their
    shape with the number of objects, nor steps that are CUDA graphs.

    Checkpoints are written whole. They also hold what a run needs to go on as if it had not stopped: random number
    generators, the order of the views, what was discovered, and which photographs and masks it was trained on.
    """

    pipeline: DiscoNerfPipeline

    def __init__(self, config: TrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        prepare_process()
        check_training_options(config)
        super().__init__(config, local_rank, world_size)
        self.train_lock = cast("Lock", FairLock())
        self.resumed = checkpoint_to_resume(config)
        """The checkpoint that this training goes on from."""
        self._stored = {} if self.resumed is None else stored_in(self.resumed)
        self._slots = cast("DiscoNerfModelConfig", config.pipeline.model).slots
        self._done: int | None = None
        self.stop_request = StopRequest(self._stop_soon)

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """nerfstudio's setup; a resumed run keeps to its set of masks, and signals can end what can be done again."""
        if self.resumed is not None and "masks" in self._stored:
            keep_masks(self.config, Path(self._stored["masks"]), self.resumed)
        try:
            super().setup(test_mode)
        except KeyboardInterrupt:  # nerfstudio's launcher would go on as if the run had ended
            sys.exit(128 + signal.SIGINT)
        self.pipeline.may_be_left = self.stop_request.at_once
        self.callbacks.insert(0, TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], self._draw_on))

    # ---------------------------------------------------------------- stop and go on

    def train(self) -> None:
        """Train; Ctrl-C and SIGTERM save the run at the end of the step and exit with 130 and 143."""
        if self.world_size > 1:  # processes that stop after different steps would wait for each other
            super().train()
            return
        with alone_in(self.base_dir), self.stop_request.heard():
            sweep(self.checkpoint_dir)
            try:
                super().train()
            except Stopped:
                self._after_train()

    def _draw_on(self, step: int) -> None:
        """Let the first step of a resumed run draw the numbers that it would have drawn; setting up draws some too."""
        if (randomness := self._stored.pop("randomness", None)) is not None and self.pipeline.draws_on(self._stored):
            restore_randomness(randomness)

    def _stop_soon(self) -> None:
        self.stop_training = True
        CONSOLE.print("\nStopping at the end of this step; the run is saved first. Once more stops at once.")

    def _after_train(self) -> None:
        if self.stop_request.signal is None:
            super()._after_train()
            return
        self.save_checkpoint(self.step)
        writer.write_out_storage()
        saved = self.resumed if self._done is None else newest(self.checkpoint_dir)
        if saved is None:
            CONSOLE.print("Stopped before the first step; there is nothing to save.")
        else:
            CONSOLE.print(f"Stopped; {saved} is saved. Go on with")
            CONSOLE.print(f"  {command_to_go_on(sys.argv, saved.parent)}", soft_wrap=True, highlight=False)
        sys.exit(self.stop_request.exit_code)

    def _train_complete_viewer(self) -> None:
        """Keep the viewer of a finished run open; there, Ctrl-C is how it is closed."""
        with self.stop_request.unheard(), suppress(KeyboardInterrupt):
            super()._train_complete_viewer()

    @check_main_thread
    def save_checkpoint(self, step: int) -> None:
        """Write a checkpoint of the last step that was done; it is there whole or not at all.

        Raises:
            UserError: it cannot be written, or NaN or infinity was learned; the ones before it are kept.
        """
        if self._done is None:
            return
        learned = dict(self.pipeline.model.named_parameters())
        check_finite(learned, f"step {self._done}", self._remedy)
        self.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        path = self.checkpoint_dir / f"step-{self._done:09d}.ckpt"
        state = {
            "step": self._done,
            "pipeline": getattr(self.pipeline, "module", self.pipeline).state_dict(),
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.optimizers.items()},
            "schedulers": {name: each.state_dict() for name, each in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            OURS: {"randomness": state_of_randomness(), **self.pipeline.to_go_on()},
        }
        save_whole(state, path)
        if self.config.save_only_latest_checkpoint:
            for before in self.checkpoint_dir.glob("*.ckpt"):
                if before != path:
                    before.unlink()

    def _load_checkpoint(self) -> None:
        """Load the checkpoint that this training goes on from.

        Raises:
            UserError: it was trained on other photographs, in another frame, or with another number of slots.
        """
        if self.resumed is None:
            super()._load_checkpoint()
            return
        data = self.pipeline.datamanager
        run, images = self.resumed.parent.parent, self._stored.get("images")
        check_same_scene(run, images, data.train_keys, data.train_dataparser_outputs)
        state = torch.load(self.resumed, map_location="cpu")
        self._start_step = state["step"] + 1
        self.pipeline.load_pipeline(state["pipeline"], state["step"])
        self.pipeline.check_slots(self._slots, self.resumed)
        self.optimizers.load_optimizers(state["optimizers"])
        if "schedulers" in state and self.config.load_scheduler:
            self.optimizers.load_schedulers(state["schedulers"])
        self.grad_scaler.load_state_dict(state["scalers"])
        self.pipeline.go_on(self._stored)
        CONSOLE.log(f"going on from {self.resumed}")

    # ---------------------------------------------------------------- steps

    @profiler.time_function
    def train_iteration(self, step: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """One iteration; returns the loss, its parts and the metrics."""
        results = self._iterate(step) if self._plain else super().train_iteration(step)
        if step_check(step, self.config.logging.steps_per_log):  # nerfstudio writes the loss, so the host waits for it
            check_finite({f"the loss {name}": loss for name, loss in results[1].items()}, f"step {step}", self._remedy)
        self._done = step
        return results

    @property
    def _remedy(self) -> str:
        before = newest(self.checkpoint_dir)
        kept = "there is no checkpoint yet, begin again" if before is None else f"{before} is kept, go on from there"
        return f"{kept} with lower learning rates or --mixed-precision False."

    def _iterate(self, step: int) -> StepResults:
        self.optimizers.zero_grad_all()
        with self.pipeline.training_step(step) as upcoming:
            results = self._computed(upcoming)
            self.pipeline.after_step(results.metrics)
        self.optimizers.optimizer_scaler_step_all(self.grad_scaler)
        self.grad_scaler.update()
        return results

    @cached_property
    def _plain(self) -> bool:
        options = self.config
        return not (options.gradient_accumulation_steps or options.log_gradients or self.optimizers.schedulers)

    def eval_iteration(self, step: int) -> None:
        """nerfstudio's evaluation of a step, on the first device only."""
        if self.pipeline.devices.first:
            super().eval_iteration(step)

    def _computed(self, upcoming: TrainingStep) -> StepResults:
        compute = partial(self._differentiate, upcoming)
        if upcoming.kind is None:
            return compute()
        learning = [
            parameter for group in self.optimizers.parameters.values() for parameter in group if parameter.requires_grad
        ]
        return self.pipeline.steps.captured.run(upcoming.kind, compute, learning)

    def _differentiate(self, upcoming: TrainingStep) -> StepResults:
        """Losses of a step; their gradients are added to the parameters'."""
        with torch.autocast(self.device.split(":")[0], enabled=self.mixed_precision):
            losses, metrics = upcoming.compute()
            loss = cast("Tensor", reduce(torch.add, losses.values()))
        cast("Tensor", self.grad_scaler.scale(loss)).backward()
        return StepResults(loss.detach(), detached(losses), detached(metrics))


def stored_in(checkpoint: Path) -> dict[str, Any]:
    """This method's own entry of a checkpoint; empty where an older version wrote the checkpoint."""
    return torch.load(checkpoint, map_location="cpu", mmap=True).get(OURS, {})


def command_to_go_on(arguments: list[str], checkpoints: Path) -> str:
    """The command that goes on from a folder of checkpoints, with the options of the command that began.

    Args:
        arguments: the program and its arguments, the method first.
        checkpoints: the folder.
    """
    program, *given = arguments
    if Path(program).stem != "ns-train" or not given:
        return f"--load-dir {shlex.quote(str(checkpoints))}"
    method, *options = given
    kept, skip = [], False
    for option in options:
        name, equals, _ = option.partition("=")
        name = name.replace("_", "-")
        if not skip and name not in GIVEN_ANEW:
            kept.append(option)
        skip = name in GIVEN_ANEW and not equals
    return shlex.join(["ns-train", method, "--load-dir", str(checkpoints), *kept])


def detached(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values without the operations that led to them, whose memory nobody shall keep."""
    return {name: value.detach() for name, value in values.items()}
