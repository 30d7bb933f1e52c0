"""Networks of torchvision, timm and Hugging Face: what lies on devices, with what noise, and what stays as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from steadynet.batches import arguments, each, logits_of
from steadynet.chip import program, run
from steadynet.compute import Compute
from steadynet.deploy import levels_of
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.models import build
from steadynet.montecarlo import monte_carlo
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import recipe
from steadynet.training import fit

timm = pytest.importorskip("timm", reason="timm is not installed: pip install timm")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install transformers"
)

CLASSES = 3
DEVICE = Device(variation=Gaussian(0.2))
# A kind of layer whose weights must all lie on devices, by the module's class.
MAPPED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding)


@dataclass(frozen=True)
class Case:
    """A network and its inputs."""

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Any]


def images(side: int) -> Callable[[int], Tensor]:
    return lambda count: torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def words(count: int) -> dict[str, Tensor]:
    tokens = torch.arange(count * 6).view(count, 6) % 30 + 1
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def named(name: str, side: int = 32, **options: Any) -> Case:
    return Case(lambda: build(name, classes=CLASSES, shape=(3, side, side), options=options), images(side))


def hugging(model: str, config: str, inputs: Callable[[int], Any], **options: Any) -> Case:
    def make() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            settings = getattr(transformers, config)(num_labels=CLASSES, **options)
            return getattr(transformers, model)(settings)

    return Case(make, inputs)


_SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
CASES: dict[str, Case] = {
    **{
        f"torchvision {name}": named(f"torchvision:{name}", side)
        for name, side in (
            ("resnet18", 32), ("mobilenet_v3_small", 32), ("squeezenet1_1", 64), ("shufflenet_v2_x0_5", 32),
            ("mnasnet0_5", 32), ("regnet_y_400mf", 32),
        )
    },
    "torchvision vit": Case(
        lambda: build(
            "torchvision.models.VisionTransformer", classes=CLASSES, shape=(3, 32, 32),
            options={"image_size": 32, "patch_size": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32},
        ),
        images(32),
    ),
    "timm mobilenetv3": named("timm:mobilenetv3_small_050"),
    "timm resnet10t": named("timm:resnet10t"),
    "timm convnext": named("timm:convnext_atto"),
    "timm vit": named("timm:vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2),
    "timm mixer": named("timm:mixer_s32_224", img_size=64, side=64),
    "hugging bert": hugging("BertForSequenceClassification", "BertConfig", words, vocab_size=40, **_SMALL),
    "hugging gpt2": hugging(
        "GPT2ForSequenceClassification", "GPT2Config", words, vocab_size=40, n_embd=16, n_layer=1, n_head=2, pad_token_id=0
    ),
    "hugging vit": hugging(
        "ViTForImageClassification", "ViTConfig",
        lambda count: {"pixel_values": images(16)(count)}, image_size=16, patch_size=4, **_SMALL,
    ),
}  # fmt: skip
every = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def made() -> dict[str, nn.Module]:
    """Each network once, in evaluation mode, as one that has been trained: no weight is at its initial 0."""
    found: dict[str, nn.Module] = {}
    generator = torch.Generator().manual_seed(0)
    for name, case in CASES.items():
        found[name] = case.make().eval()
        with torch.no_grad():
            for parameter in found[name].parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return found


def forward(model: nn.Module, inputs: Any) -> Tensor:
    args, kwargs = arguments(inputs)
    logits: Tensor = logits_of(model(*args, **kwargs))
    return logits


@every
def test_its_layers_lie_on_devices_and_its_norms_do_not(name: str, made: dict[str, nn.Module]) -> None:
    found = layout(made[name], DEVICE)
    names = {alias for tensor in found.mapped for alias in (tensor.name, *tensor.aliases)}
    for prefix, module in made[name].named_modules():
        own = {f"{prefix}.{key}" for key, _ in module.named_parameters(recurse=False)}
        if isinstance(module, MAPPED) or type(module).__name__ == "Conv1D":
            assert f"{prefix}.weight" in names
            assert f"{prefix}.bias" not in names
        elif "Norm" in type(module).__name__:
            assert not own & names
    assert all(tensor.reason for tensor in found.digital)
    assert all(tensor.crossbars >= 2 for tensor in found.mapped)


@every
def test_its_chip_is_a_copy_with_noise_of_the_law_and_nothing_else_changes(
    name: str, made: dict[str, nn.Module]
) -> None:
    model, inputs = made[name], CASES[name].inputs(2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    chip = program(model, DEVICE, seed=1)
    clean = program(model, DEVICE.ideal)
    # Each tensor's errors are N(0, s²), s by its largest weight; its false-alarm rate is 1e-9.
    for key, weight in clean.items():
        largest = float(weight.detach().abs().max())
        errors = (chip[key] - weight).detach().double()
        if largest == 0:
            assert not errors.any()
            continue
        total = float(errors.square().sum()) / (0.2 * 0.77763 * largest) ** 2
        law: Any = stats.chi2(errors.numel())
        assert law.ppf(5e-10) < total < law.isf(5e-10), key
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for key, weight in chip.items():
            twin.get_parameter(key).copy_(weight)
        args, kwargs = arguments(inputs)
        found = logits_of(run(model, chip, *args, **kwargs))
        torch.testing.assert_close(
            found, forward(twin, inputs), rtol=1e-3, atol=1e-4 * float(found.abs().max())
        )
        assert float((found - forward(model, inputs)).abs().max()) > 1e-2 * float(found.abs().max())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


@every
def test_gradients_reach_the_clean_weights(name: str, made: dict[str, nn.Module]) -> None:
    model, inputs = copy.deepcopy(made[name]), CASES[name].inputs(2)
    chip = program(model, DEVICE)
    args, kwargs = arguments(inputs)
    logits_of(run(model, chip, *args, **kwargs)).square().sum().backward()
    grads = {key: parameter.grad for key, parameter in model.named_parameters()}
    idle = {key for key in chip if (grad := grads[key]) is None or not grad.any()}
    # An embedding's row that no token names, or a token type that is not given, has none: whole tensors have.
    assert not {key for key in idle if "token_type" not in key}


# torch computes what has no batching rule chip by chip, and says so.
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@every
def test_many_chips_at_once_are_chips_one_by_one(name: str, made: dict[str, nn.Module]) -> None:
    class Items(torch.utils.data.Dataset[Any]):
        def __init__(self) -> None:
            self.inputs = CASES[name].inputs(4)

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return each(lambda tensor: tensor[index], self.inputs), index % CLASSES

    one, many = (
        monte_carlo(
            made[name], DEVICE, Items(), draws=4, batch_size=3, compute=Compute(chunk=chunk, precision="32")
        )
        for chunk in (1, 4)
    )
    assert one.accuracy.values == pytest.approx(many.accuracy.values)
    assert one.nll.values == pytest.approx(many.nll.values, rel=1e-3)


@pytest.mark.parametrize("method", ["steady", "ovf"])
def test_a_sequence_classifier_learns_on_noisy_devices(method: str) -> None:
    """The class is which of three words comes first; inputs are named, outputs hold their logits."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, 40, (240, 6), generator=generator)
    labels = torch.arange(240) % CLASSES
    tokens[:, 0] = labels + 1

    class Sentences(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 240

        def __getitem__(self, index: int) -> Any:
            return {"input_ids": tokens[index], "attention_mask": torch.ones(6, dtype=torch.int64)}, int(
                labels[index]
            )

    model = CASES["hugging bert"].make()
    device = Device(variation=Gaussian(0.05))
    fit(
        model,
        recipe(method),
        device,
        Sentences(),
        Sentences(),
        epochs=12,
        batch_size=24,
        lr=3e-3,
        seed=0,
        progress=False,
    )
    result = monte_carlo(model, device, Sentences(), draws=8, seed=0)
    assert result.accuracy.mean > 0.9, "by chance 0.33"
    assert len(levels_of(model, device).tensors) == len(layout(model, device).mapped)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet19", "unknown model of timm 'resnet19': did you mean 'resnet"),
        ("torchvision:resnet19", "unknown model of torchvision 'resnet19': did you mean 'resnet"),
        ("transformers:vitt", "unknown type of transformers 'vitt': did you mean 'vit"),
        ("hugging:bert", "unknown model 'hugging:bert'"),
    ],
)
def test_a_library_without_such_a_network_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        build(name, classes=3, shape=(3, 32, 32))
    with pytest.raises(SteadyNetError, match=r"model timm:resnet10t cannot be made: .*depthh"):
        build("timm:resnet10t", classes=3, shape=(3, 32, 32), options={"depthh": 3})


TINY_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "patch_size": 8,
}


def test_a_type_of_transformers_is_made_for_the_images_and_a_saved_one_is_read(tmp_path: Path) -> None:
    vit: Any = build("transformers:vit", classes=CLASSES, shape=(1, 16, 16), options=TINY_VIT, seed=3)
    same: Any = build("transformers:vit", classes=CLASSES, shape=(1, 16, 16), options=TINY_VIT, seed=3)
    assert vit(torch.zeros(2, 1, 16, 16)).logits.shape == (2, CLASSES)
    assert all(
        torch.equal(a, b) for a, b in zip(vit.state_dict().values(), same.state_dict().values(), strict=True)
    )
    vit.save_pretrained(tmp_path)
    saved = f"transformers:{tmp_path}"
    read: Any = build(saved, classes=CLASSES, shape=(1, 16, 16), options={"pretrained": True})
    assert all(torch.equal(tensor, vit.state_dict()[key]) for key, tensor in read.state_dict().items())
    fresh: Any = build(saved, classes=5, shape=(1, 16, 16), seed=3)
    assert fresh(torch.zeros(2, 1, 16, 16)).logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 16}, "unknown option of transformers:vit 'hiden_size': did you mean 'hidden_size'"),
        (
            {"pretrained": True},
            "transformers:vit is a type, without weights that were trained: name a folder",
        ),
        ({**TINY_VIT, "patch_size": 0}, "model transformers:vit cannot be made: .*zero"),
    ],
)
def test_a_type_of_transformers_that_cannot_be_made_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        build("transformers:vit", classes=CLASSES, shape=(1, 16, 16), options=options)
