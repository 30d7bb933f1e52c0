"""How much an error of each weight costs: the diagonal of the loss's second derivative, in one pass like a backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from steadynet.batches import arguments, each, logits_of, sample
from steadynet.chip import call_with
from steadynet.computed import named_weights
from steadynet.errors import SteadyNetError, check_integer
from steadynet.loader import Loader, as_dataset
from steadynet.mapping import layout
from steadynet.nvm.device import Device

# From logits [B, C] and labels [B] to the second derivative of each image's loss by each logit [B, C].
Curvature = Callable[[Tensor, Tensor], Tensor]

# Functions of two factors, the first of which is the input and the second the weight.
_PRODUCTS = {
    F.linear,
    F.conv1d,
    F.conv2d,
    F.conv3d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
}
_POOLS = {F.avg_pool1d, F.avg_pool2d, F.avg_pool3d}
_ADAPTIVE = {F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d}
# Elementwise products and quotients, which have a rule where one factor, or the divisor, is a constant.
_TIMES = {"mul", "multiply"}
_OVER = {"div", "divide", "true_divide"}
# Those through which a second derivative goes as a first one does: piecewise linear with slopes 0 and 1, sums, and views.
_AS_GRADIENT = {
    "relu", "relu_", "clamp", "clamp_min", "hardtanh", "dropout", "dropout1d", "dropout2d", "dropout3d", "identity", "max_pool1d",
    "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "boolean_dispatch", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "add", "__add__", "__iadd__", "__radd__", "add_", "sum",
    "flatten", "view",
    "reshape", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "cat", "concat", "stack", "chunk", "split", "unbind",
    "__getitem__", "to", "float", "clone", "pad", "size", "dim", "numel", "is_floating_point", "__get__",
}  # fmt: skip


def cross_entropy_curvature(logits: Tensor, labels: Tensor) -> Tensor:
    """Return p_c (1 − p_c): the second derivative of cross entropy by each logit, whatever the label."""
    p = logits.softmax(1)
    return p * (1 - p)


def squared_error_curvature(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 2: the second derivative of Σ_c (z_c − target_c)² by each logit."""
    return torch.full_like(logits, 2.0)


def weight_curvature(
    model: nn.Module,
    device: Device,
    data: Any,
    *,
    images: int = 512,
    batch_size: int = 128,
    curvature: Curvature = cross_entropy_curvature,
) -> dict[str, Tensor]:
    """Return an approximation of d²L/dw², L the mean loss over images, for each weight on devices.

    With h = d²l/dy² at a layer's output y = W x + b, one image's loss l and its other second derivatives left out,

        d²l/dW_ij² = h_i x_j²,     d²l/dx_j² = Σ_i W_ij² h_i,

    and so backwards from the logits, as a gradient goes but with squared weights and inputs. A ReLU passes h on where its
    input is positive, a maximum to where it was taken, BatchNorm in evaluation mode by the square of its scale, an average
    over k by 1/k², a constant factor c (a temperature, a scale that is no weight on devices) by c². It is exact for one linear
    layer, or an embedding of one token, with a squared error; beyond, it leaves out what the curvatures of two outputs have in
    common, and the paths that meet again behind a residual addition.

    Args:
        model: A trained network; it is run in evaluation mode and not changed.
        device: What of it lies on devices.
        data: A map-style dataset of (input, label), or a pair of tensors.
        images: How many of them are taken, at most.
        batch_size: Images of one pass.
        curvature: Second derivative of an image's loss by its logits.

    Raises:
        SteadyNetError: If the network computes something through which no rule leads (it is named), or a count is below 1.

    Source:
        Yan et al., "SWIM: Selective Write-Verify for Computing-in-Memory Neural Accelerators", DAC 2022.
    """
    check_integer("images", images, at_least=1)
    check_integer("batch_size", batch_size, at_least=1)
    names = layout(model, device).names
    held = as_dataset(data, "data")
    available: int = len(held)  # pyright: ignore[reportArgumentType] (checked to be sized)
    count = min(images, available)
    chosen = sample(count, available)
    loader = Loader(held, batch_size=1, shuffle=False)
    modes = [module.training for module in model.modules()]
    # What is digital is a constant: only what depends on weights on devices has a second derivative to be passed on.
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    where = next(model.parameters()).device
    model.eval()
    parameters = named_weights(model, names)
    leaves = {name: parameters[name].detach().clone().requires_grad_() for name in names}
    total = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        for start in range(0, count, batch_size):
            inputs, labels = loader.batch(chosen[start : start + batch_size])
            with torch.enable_grad(), _Rules(type(model).__name__):
                args, kwargs = arguments(each(lambda one: one.to(where), inputs))
                logits = cast("Tensor", logits_of(call_with(model, leaves, args, kwargs)))
            h = curvature(logits.detach(), labels.to(where)) / count
            found = torch.autograd.grad(logits, list(leaves.values()), h, allow_unused=True)
            for name, part in zip(leaves, cast("tuple[Tensor | None, ...]", found), strict=True):
                if part is not None:
                    total[name] += part
    finally:
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode
        for parameter in learning:
            parameter.requires_grad_()
    return total


class _Rules(TorchFunctionMode):
    """Replaces what a network computes by functions whose backward passes second derivatives on."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        name = str(getattr(func, "__name__", func))
        if func in _PRODUCTS:
            # Both may be given by their places or by these names.
            places = dict(zip(("input", "weight"), args, strict=False))
            x, weight = (places[key] if key in places else given.pop(key) for key in ("input", "weight"))
            rest = args[2:]

            def product(a: Tensor, b: Tensor) -> Tensor:
                return func(a, b, *rest, **given)

            return _Product.apply(product, x, weight)  # pyright: ignore[reportUnknownMemberType]
        if func is F.batch_norm:
            return _batch_norm(self._model, *args, **given)
        if func in _POOLS or func in _ADAPTIVE or name == "mean":
            averaged = args[0] if args else given.pop("input")

            def average(a: Tensor) -> Tensor:
                return func(a, *args[1:], **given)

            return _Scaled.apply(average, averaged, self._model)  # pyright: ignore[reportUnknownMemberType]
        if func is F.embedding and (looked_up := _embedding(*args, **given)) is not None:
            return looked_up
        learned = any(
            isinstance(one, Tensor) and one.requires_grad
            for value in (*args, *given.values())
            for one in (cast("list[Any]", value) if isinstance(value, list | tuple) else [value])
        )
        if learned and name in _TIMES | _OVER:
            scaled = _by_constant(func, args, given, orders=2 if name in _TIMES else 1)
            if scaled is not None:
                return scaled
        if not learned or (name in _AS_GRADIENT and given.get("alpha", 1) == 1):
            return func(*args, **given)
        raise SteadyNetError(
            f"{self._model} computes {name}, through which no rule takes second derivatives: rank by magnitude"
        )


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *_: Any,
    **__: Any,
) -> Tensor | None:
    """Return rows of `weight`, the product with one-hot inputs x = x²; None if rows are scaled to a largest norm.

    A gradient alone may leave out the padding's row, or be divided by how often a row is taken.
    """
    return F.embedding(input, weight) if max_norm is None else None


def _by_constant(func: Any, args: Sequence[Any], given: Mapping[str, Any], orders: int) -> Tensor | None:
    """Return a product or quotient by a constant; None if it is none, or the constant has the larger shape.

    Either factor may be the constant where there are 2 `orders`, else the second alone.
    """
    places: dict[str, Any] = {**dict(zip(("input", "other"), args, strict=False)), **given}
    if places.keys() != {"input", "other"}:  # Rounded besides, say.
        return None
    for x, constant in ((places["input"], places["other"]), (places["other"], places["input"]))[:orders]:
        if isinstance(x, Tensor) and not (isinstance(constant, Tensor) and constant.requires_grad):

            def scaled(a: Tensor, by: Any = constant) -> Tensor:
                return func(a, by)

            y: Tensor = _Constant.apply(scaled, x)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
            return y if y.shape == x.shape else None
    return None


class _Product(torch.autograd.Function):
    """y = f(x, W), linear in each. Backward: h by x with W², and h by W with x²."""

    @staticmethod
    def forward(ctx: Any, f: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
        ctx.f = f
        ctx.save_for_backward(x, weight)
        return f(x, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[None, Tensor, Tensor]:
        saved: tuple[Tensor, Tensor] = ctx.saved_tensors
        f: Callable[[Tensor, Tensor], Tensor] = ctx.f
        with torch.enable_grad():
            x, weight = (tensor.detach().requires_grad_() for tensor in saved)
            by_x = torch.autograd.grad(f(x, weight.detach().square()), x, grad_outputs[0])[0]
            by_weight = torch.autograd.grad(f(x.detach().square(), weight), weight, grad_outputs[0])[0]
        return None, by_x, by_weight


class _Scaled(torch.autograd.Function):
    """An average over equally many inputs each. Backward: by the squares of its coefficients."""

    @staticmethod
    def forward(ctx: Any, f: Callable[[Tensor], Tensor], x: Tensor, model: str) -> Tensor:
        ctx.f = f
        ctx.save_for_backward(x)
        y = f(x)
        with torch.enable_grad():
            ones = torch.ones_like(x).requires_grad_()
            (share,) = torch.autograd.grad(f(ones), ones, torch.ones_like(y))
        # Where every input has the same coefficient, and as many outputs as there are coefficients to a whole.
        coefficient = float(share.max())
        if not torch.allclose(share, share.flatten()[0].expand_as(share)) or x.numel() % y.numel():
            raise SteadyNetError(f"{model} averages over windows that overlap or differ: rank by magnitude")
        ctx.coefficient = coefficient
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[None, Tensor, None]:
        saved: tuple[Tensor] = ctx.saved_tensors
        f: Callable[[Tensor], Tensor] = ctx.f
        with torch.enable_grad():
            x = saved[0].detach().requires_grad_()
            by_x = torch.autograd.grad(f(x), x, grad_outputs[0])[0]
        coefficient: float = ctx.coefficient
        return None, by_x * coefficient, None


class _Constant(torch.autograd.Function):
    """y = c x, each value by a constant of its own. Backward: by c²."""

    @staticmethod
    def forward(ctx: Any, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        ctx.f = f
        return f(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[None, Tensor]:
        f: Callable[[Tensor], Tensor] = ctx.f
        return None, f(f(grad_outputs[0]))


def _batch_norm(
    model: str,
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or mean is None or variance is None:
        raise SteadyNetError(f"{model} has BatchNorm without running statistics: rank by magnitude")
    shape = (1, -1, *[1] * (x.dim() - 2))
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.detach()
    shift = -mean * scale + (0 if bias is None else bias.detach())
    factor = scale.view(shape)
    scaled: Tensor = _Constant.apply(lambda a: a * factor, x)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType, reportUnknownLambdaType]
    return scaled + shift.view(shape)
