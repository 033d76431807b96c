"""The precision of each kind of convolution, measured on this processor when training starts.

    network, a photo -> the kinds of its convolutions, each with its largest example
    each kind        -> forward and backward in bfloat16 and in float32, timed
                     -> float32 for the kinds that are faster in it, within autocast

On processors with bfloat16, pointwise convolutions are two to three times as fast in it, while
depthwise ones may take twice as long in their backward pass as in float32: which it is depends on
the processor and on oneDNN, so it is measured. On other processors all is float32 and nothing is
measured, and a GPU runs all kinds in bfloat16.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.torch_loop.device import Device

_REPEATS = 5
_GAIN = 0.95
"""float32 must take less than this share of bfloat16's time, since a change costs a cast."""


@dataclass(frozen=True)
class Kind:
    """A kind of convolution."""

    is_depthwise: bool
    kernel: int
    stride: int

    def __str__(self) -> str:
        """Return the kind in words, such as "depthwise 5x5"."""
        if self.kernel == 1:
            return "pointwise"
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        form = "depthwise " if self.is_depthwise else ""
        return f"{form}{self.kernel}x{self.kernel}{stride}"


class Float32Conv2d(nn.Conv2d):
    """A convolution that runs in float32 where the others run in bfloat16.

    The class of a module is replaced by it, so weights keep their names, and copies of a network
    their precision.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve in float32."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


@dataclass(frozen=True)
class Example:
    """A convolution of a network and the shape of its input."""

    conv: nn.Conv2d
    shape: tuple[int, ...]
    """Of the input, (1, C, H, W)."""
    cost: int
    """The multiplications for a photo."""


Seconds = tuple[float, float]
"""The time in bfloat16 and in float32."""
Measure = Callable[[Example, int], Seconds]


def choose_precisions(
    network: nn.Module, side: int, batch: int, device: Device, measure: Measure | None = None
) -> str | None:
    """Let the kinds of convolutions that are slower in bfloat16 run in float32.

    Args:
        network: the network, on the device; its convolutions are changed in place.
        side: of the input, in pixels.
        batch: the photos of a step.
        device: the device; only on a CPU with bfloat16 is there a choice.
        measure: times an example; None: it is run.

    Returns:
        A line about what was chosen; None where there is no choice.
    """
    if not device.bf16 or device.torch_device.type != "cpu":
        return None
    measure = measure or measure_example
    times = {kind: measure(example, batch) for kind, example in examples(network, side).items()}
    slower = {kind for kind, (bf16, float32) in times.items() if float32 < _GAIN * bf16}
    modules = network.named_modules()
    set_in_float32(
        network,
        [name for name, each in modules if isinstance(each, nn.Conv2d) and kind_of(each) in slower],
    )
    return _line(times, slower)


def in_float32(network: nn.Module) -> list[str]:
    """Return the names of the convolutions that run in float32 within autocast."""
    return [name for name, each in network.named_modules() if isinstance(each, Float32Conv2d)]


def set_in_float32(network: nn.Module, names: Iterable[str]) -> None:
    """Let the convolutions of these names run in float32 within autocast."""
    for name in names:
        network.get_submodule(name).__class__ = Float32Conv2d


def kind_of(conv: nn.Conv2d) -> Kind:
    """Return the kind of a convolution."""
    is_depthwise = conv.groups > 1 and conv.groups == conv.in_channels
    return Kind(is_depthwise, int(conv.kernel_size[0]), int(conv.stride[0]))


def examples(network: nn.Module, side: int) -> dict[Kind, Example]:
    """Return each kind of convolution of a network with the most expensive one of it."""
    found: dict[Kind, Example] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        cost = output[0].numel() * module.weight[0].numel()
        kind = kind_of(module)
        if kind not in found or cost > found[kind].cost:
            found[kind] = Example(module, tuple(inputs[0].shape), cost)

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [conv.register_forward_hook(note) for conv in convolutions]
    was_training = network.training
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, side, side))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def measure_example(example: Example, batch: int) -> Seconds:
    """Return the median times of forward and backward with normalisation and activation."""
    conv, (_, *shape) = example.conv, example.shape
    images = torch.randn(batch, *shape).contiguous(memory_format=torch.channels_last)
    norm = nn.BatchNorm2d(conv.out_channels)

    def run(in_float32: bool) -> float:
        inputs = images.bfloat16().requires_grad_()
        layer = _copy(conv, in_float32)
        seconds = []
        for _ in range(_REPEATS):
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                output = functional.relu6(norm(layer(inputs))).bfloat16()
            output.backward(torch.ones_like(output))
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds[1:])  # the first run compiles the kernels

    return run(in_float32=False), run(in_float32=True)


def _copy(conv: nn.Conv2d, in_float32: bool) -> nn.Conv2d:
    layer = (Float32Conv2d if in_float32 else nn.Conv2d)(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    return layer.to(memory_format=torch.channels_last)


def _line(times: Mapping[Kind, Seconds], slower: set[Kind]) -> str:
    parts = [
        f"{kind} in {'float32' if kind in slower else 'bfloat16'} "
        f"({1000 * bf16:.0f} ms in bfloat16, {1000 * float32:.0f} in float32)"
        for kind, (bf16, float32) in sorted(times.items(), key=lambda each: str(each[0]))
    ]
    return f"convolutions: {'; '.join(parts)}"
