"""`pass_through` holds one tensor's values and hands the gradient to another, unchanged."""

from __future__ import annotations

import torch

from steadynet.nvm.straight_through import pass_through


def pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight, value, upstream = torch.randn(3, 4, 5, generator=generator)
    return weight.requires_grad_(), value, upstream


def test_it_holds_the_value_exactly_and_passes_the_gradient_exactly() -> None:
    weight, value, upstream = pair()
    held = pass_through(weight, value)
    assert torch.equal(held, value)
    (found,) = torch.autograd.grad(held, weight, upstream)
    assert torch.equal(found, upstream)


def test_it_agrees_with_the_textbook_form() -> None:
    weight, value, upstream = pair()
    textbook = weight + (value - weight).detach()
    torch.testing.assert_close(pass_through(weight, value), textbook)
    (one,) = torch.autograd.grad(textbook.square().sum(), weight)
    (other,) = torch.autograd.grad(pass_through(weight, value).square().sum(), weight)
    torch.testing.assert_close(one, other)
    assert not torch.equal(one, upstream)


def test_the_value_gets_no_gradient() -> None:
    weight, value, _ = pair()
    value.requires_grad_()
    pass_through(weight, value).sum().backward()
    assert value.grad is None
    assert weight.grad is not None


def test_nothing_is_tracked_where_nothing_is_learned() -> None:
    weight, value, _ = pair()
    assert not pass_through(weight.detach(), value).requires_grad
    with torch.no_grad():
        assert not pass_through(weight, value).requires_grad


def test_second_derivatives_pass_too() -> None:
    weight, value, upstream = pair()
    (first,) = torch.autograd.grad(pass_through(weight, value).pow(3).sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first, weight, upstream)
    torch.testing.assert_close(second, 6 * value * upstream)


def test_it_can_be_vectorised() -> None:
    weight, value, upstream = pair()

    def gradient(w: torch.Tensor, v: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda x: (pass_through(x, v) * u).sum())(w)

    found = torch.func.vmap(gradient)(weight.detach(), value, upstream)
    assert torch.equal(found, upstream)
