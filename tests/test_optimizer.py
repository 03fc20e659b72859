"""The fused optimizer takes over the state of runs from before all groups were fused."""

import copy

import torch
from torch import nn

from disconerf_ns.optimizer import FusedAdam, FusedAdamConfig


def test_the_state_of_an_adam_that_was_not_fused_goes_on_fused() -> None:
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = [nn.Parameter(torch.arange(6.0, device=device)) for _ in range(2)]
    plain = torch.optim.Adam([weights[0]], lr=0.1, eps=1e-15)
    gradients = torch.randn(5, 6, device=device)
    for gradient in gradients[:3]:
        weights[0].grad = gradient
        plain.step()
    fused = FusedAdamConfig(lr=0.2, eps=1e-15).setup([weights[1]])
    assert isinstance(fused, FusedAdam)
    weights[1].data.copy_(weights[0].data)
    fused.load_state_dict(copy.deepcopy(plain.state_dict()))
    scaler = torch.amp.GradScaler(device, init_scale=8.0)
    for gradient in gradients[3:]:
        weights[0].grad, weights[1].grad = gradient.clone(), 8 * gradient
        plain.step()
        scaler.scale(torch.zeros(()).to(device))
        scaler.step(fused)
        scaler.update(8.0)
    assert fused.param_groups[0]["lr"] == 0.1
    torch.testing.assert_close(weights[1], weights[0])
