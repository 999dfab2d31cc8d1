"""The steps of a training, by transformers' Trainer.

One process, or as many as torchrun started: accelerate's part. What is ours is the order of the
data, which depends on the seed and the epoch alone, the weights that decay, the optimizer and the
rate's course, what is measured on the way, and the manifest that makes a checkpoint whole.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from trainer.callbacks import EpochStart
from trainer.checkpoints import KEPT, checkpoint_of, write_manifest
from trainer.datasets.dataset import TRAIN, VALIDATION, Sample
from trainer.freezing import frozen_parts
from trainer.job import Job
from trainer.optimizers import choose_optimizer
from trainer.pictures import EpochSampler, Item, Pictures, View, Whole
from trainer.pixel_size import sides
from trainer.processes import wait_for_all
from trainer.running_means import RunningMeans
from trainer.schedules import rate_at
from trainer.tasks.task import Batch, Metric


class EpochTrainer(Trainer):
    """Trainer whose data depend on (seed, epoch) alone, and whose norms and biases never decay."""

    def __init__(self, job: Job, model: PreTrainedModel) -> None:
        wanted, splits = job.wanted, job.dataset.splits
        super().__init__(
            model=model,
            args=_arguments(job),
            train_dataset=Pictures(splits[TRAIN], job.task.train_view()),
            eval_dataset=Pictures(splits[VALIDATION], _evaluated(job)),
            data_collator=self._collate_eval,
            optimizer_cls_and_kwargs=choose_optimizer(wanted, wanted.learning_rate),
        )
        # Its forward takes **kwargs, but its loss is a mean over the batch: transformers 5.23 takes
        # the one for a sign that it is a sum over all processes, and would multiply it by their
        # number (Trainer.compute_loss).
        self.model_accepts_loss_kwargs = False
        self._job = job
        self._steps_per_epoch = 1
        self._running = RunningMeans()
        self._frozen = frozen_parts(model) if wanted.train_only_top_layer else []

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches in the sampler's order, sharded by accelerate."""
        samples, wanted = self._job.dataset.splits[TRAIN], self._job.wanted
        batch_size = self.args.train_batch_size
        processes = self._job.processes.count
        sampler = EpochSampler(len(samples), batch_size, wanted.seed, processes=processes)
        loader = DataLoader(
            Pictures(samples, self._job.task.train_view()),
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=self._collate_train,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        self._steps_per_epoch = len(prepared)
        # accelerate's loader does not reach it where it skips an epoch's first batches.
        self.add_callback(EpochStart(sampler))
        return prepared

    def save_untrained(self) -> None:
        """Leave a whole checkpoint of no steps."""
        folder = checkpoint_of(self._job.run_dir, steps=0)
        self.save_model(str(folder))
        wait_for_all()
        if self._job.processes.is_main:
            self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
            write_manifest(folder)
        wait_for_all()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The model's loss, beside which parts that do not learn compute as they would be served."""
        for part in self._frozen:
            part.eval()
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self._job.hooks.train_metrics:
            means = self._job.task.measure_step(outputs, inputs)
            self._running.add(means, len(inputs["pixel_values"]))
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Say the training's metrics where its loss is said."""
        if self._job.hooks.train_metrics and "loss" in logs:
            logs |= self._running.take(self._job.processes)
        super().log(logs, start_time)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Weights of two or more axes.

        transformers 5.23 goes by nn.LayerNorm and by names, and decays the scales of batch norms
        that are named otherwise, as ResNet's (Trainer.get_decay_parameter_names).
        """
        return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]

    def evaluate(
        self, *_: object, metric_key_prefix: str = "eval", **__: object
    ) -> dict[str, float]:
        """The losses and the task's metrics on the validation split, gathered batch by batch.

        Each process takes its share of the pictures. The Trainer's own loop would keep the
        outputs of all of them.
        """
        processes, samples = self._job.processes, self._job.dataset.splits[VALIDATION]
        share = samples[processes.index :: processes.count]
        metric, sums = self._evaluate_share(share)
        parts = processes.gather([sums])
        first, *others = processes.gather([metric])
        for other in others:
            first.merge(other)
        means = {
            name: sum(part.get(name, 0.0) for part in parts) / len(samples)
            for name in dict.fromkeys(name for part in parts for name in part)
        }
        metrics = {
            f"{metric_key_prefix}_{name}": value
            for name, value in {**means, **first.compute()}.items()
        }
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """`rate_at` over the steps of the whole training."""
        optimizer = optimizer or self.optimizer
        assert optimizer is not None  # noqa: S101 - the Trainer makes it first
        if self.lr_scheduler is None:
            rate = partial(
                rate_at,
                wanted=self._job.wanted,
                total=num_training_steps,
                steps_per_epoch=self._steps_per_epoch,
            )
            self.lr_scheduler = LambdaLR(optimizer, rate)
        return self.lr_scheduler

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Take over every weight of a checkpoint, or fail.

        transformers 5.23 writes weights by their names of older versions, but resumes by those
        of the model, and leaves what it does not find at random with no more than a warning
        (Trainer._load_from_checkpoint, modeling_utils.save_pretrained's save_original_format).
        """
        saved = self._job.task.load_model(Path(resume_from_checkpoint))
        resumed = model if model is not None else self.accelerator.unwrap_model(self.model)
        resumed.load_state_dict(saved.state_dict())

    def _collate_train(self, items: Sequence[Item]) -> Batch:
        return self._in_format(self._job.task.collate_train(items))

    def _collate_eval(self, items: Sequence[Item]) -> Batch:
        return self._in_format(self._job.task.collate_eval(items))

    def _in_format(self, batch: Batch) -> Batch:
        """The batch with its pictures [B, 3, H, W] in the memory format of the model."""
        layout = (
            torch.channels_last if self._job.hardware.channels_last else torch.contiguous_format
        )
        return {
            name: value.contiguous(memory_format=layout)
            if isinstance(value, torch.Tensor) and value.ndim == 4
            else value
            for name, value in batch.items()
        }

    def _evaluate_share(self, share: Sequence[Sample]) -> tuple[Metric, dict[str, float]]:
        """The metric of some samples, and the sums of their losses by name."""
        task, wanted = self._job.task, self._job.wanted
        metric, sums = task.metric(self._job.dataset.labels), dict[str, float]()
        pictures = Pictures(share, _evaluated(self._job))
        model: nn.Module = self.accelerator.unwrap_model(self.model)
        model.eval()
        show = self._job.processes.is_main
        for start in tqdm(
            range(0, len(share), wanted.per_device_eval_batch_size),
            desc="validating",
            leave=False,
            disable=not show,
        ):
            batch = share[start : start + wanted.per_device_eval_batch_size]
            items = [pictures[start + offset] for offset in range(len(batch))]
            inputs = self._prepare_inputs(self._collate_eval(items))
            with torch.no_grad(), self.compute_loss_context_manager():
                losses, outputs = task.evaluate_batch(model, inputs)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss) * len(batch)
            metric.update(outputs, batch)
        model.train()
        return metric, sums


def _evaluated(job: Job) -> View:
    """The whole picture, as the server sees it."""
    return Whole(*sides(job.wanted.size), job.task.fit)


def _arguments(job: Job) -> TrainingArguments:
    wanted, hardware = job.wanted, job.hardware
    # No batch has more than all pictures; islice cannot count to every integer. Of a single one
    # the sampler makes no batch, for batch norms.
    most = max(2, len(job.dataset.splits[TRAIN]))
    return TrainingArguments(
        output_dir=str(job.run_dir),
        learning_rate=wanted.learning_rate,
        per_device_train_batch_size=min(wanted.per_device_train_batch_size, most),
        per_device_eval_batch_size=min(wanted.per_device_eval_batch_size, most),
        num_train_epochs=wanted.num_train_epochs,
        logging_steps=wanted.logging_steps,
        weight_decay=wanted.weight_decay,
        max_grad_norm=wanted.max_grad_norm,
        seed=wanted.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=KEPT,
        bf16=hardware.precision == "bf16",
        fp16=hardware.precision == "fp16",
        use_cpu=hardware.device == "cpu",
        dataloader_num_workers=hardware.dataloader_workers,
        dataloader_pin_memory=hardware.device == "cuda",
        remove_unused_columns=False,
        report_to="none",  # our own TensorBoard callback knows its folder
        disable_tqdm=False,
    )
