import torch

from dals.fitting.adam import Adam, ParameterGroup


def test_steps_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
    ours = [p.clone().requires_grad_() for p in start]
    theirs = [p.clone().requires_grad_() for p in start]
    optimiser = Adam([ParameterGroup([ours[0]], 0.1), ParameterGroup([ours[1]], 0.01)])
    reference = torch.optim.Adam([{"params": [theirs[0]], "lr": 0.1}, {"params": [theirs[1]], "lr": 0.01}])
    for _ in range(20):
        for (a, b), clear in ((ours, optimiser.clear_gradients), (theirs, reference.zero_grad)):
            clear()
            ((a - b).square().sum() + (a.sin() * 3).sum() + b.pow(4).sum()).backward()
        optimiser.step()
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-12, atol=1e-14)


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    optimiser = Adam([ParameterGroup([used, unused], 0.1)])
    used.sum().backward()
    optimiser.step()
    assert torch.allclose(used, torch.full((3,), 0.9))
    assert torch.equal(unused, torch.ones(3))
