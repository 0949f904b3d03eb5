"""How a torch module is called, what it answers, and what its signature follows to be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import ModelError
from clouddeploy.model.example import arrays_of, batch, dtype_of, grown, json_example, tensors_of
from clouddeploy.model.model import Call
from clouddeploy.model.signature import Signature, Tensor

if TYPE_CHECKING:
    pass

BATCHES = (1, 3)
"""Batch sizes at which what was saved is compared with the module."""


@dataclass(frozen=True)
class Probe:
    """A module's way to be called, and its answers to the example.

    Args:
        call: how the inputs are passed.
        signature: what it takes and gives.
        inputs: batches of the sizes in `BATCHES`, as arrays by input name.
        outputs: the module's own answers to them, by output name (``""`` for a single one).
    """

    call: Call
    signature: Signature
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]

    def facts(self) -> dict[str, Any]:
        """The part of a manifest that the runtime's caller reads."""
        return {"call": self.call, "signature": self.signature.as_dict()}

    def arguments(self, arrays: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments, as tensors, for a batch of `arrays`."""
        import torch

        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        if self.call == "mapping":
            return (tensors,), {}
        return ((), tensors) if self.call == "keyword" else (tuple(tensors.values()), {})


def probe(
    module: Callable[..., Any],
    example: Any,
    forward: Callable[..., Any] | None,
    free: Mapping[str, Sequence[int]],
) -> Probe:
    """Call `module` with the example at two batch sizes and describe what it takes and gives.

    Args:
        module: what to call.
        example: a batch that it takes.
        forward: the function whose parameters name the inputs, where it can be read.
        free: dimensions besides the batch that may vary, by input name.

    Raises:
        ModelError: it raises, or doesn't answer with one row for each example.
    """
    names = _parameters(forward)
    call: Call = "positional"
    if isinstance(example, Mapping):
        call = "keyword" if names and set(example) <= set(names) else "mapping"
    arrays = arrays_of(example, names)
    _check_free(arrays, free)
    inputs = tuple(batch(arrays, size) for size in BATCHES)
    signature = Signature(tensors_of(arrays, free), (), json_example(arrays))
    draft = Probe(call, signature, inputs, ())
    outputs = tuple(answers(module, draft, one) for one in inputs)
    wider = answers(module, draft, grown(inputs[0], free)) if free else outputs[0]
    tensors = tuple(_output(name, [found[name] for found in outputs], wider[name]) for name in outputs[0])
    full = Signature(signature.inputs, tensors, signature.example)
    return Probe(call, full, inputs, outputs)


def answers(module: Callable[..., Any], how: Probe, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What `module` answers to a batch, by output name.

    Raises:
        ModelError: it raises, or returns something else than tensors.
    """
    import torch

    from clouddeploy.runtime.loaders.torch_call import caller

    plain = caller(module, how.facts(), torch.device("cpu"))
    try:
        found = plain(dict(arrays))
    except Exception as error:
        raise ModelError(
            f"the module can't be called with example_input: {type(error).__name__}: {error}".splitlines()[0],
            why="as " + ", ".join(f"{name} {dtype_of(a)}{list(a.shape)}" for name, a in arrays.items()),
            fix="give example_input as forward takes it; a tuple for several inputs, a dict for named ones",
        ) from error
    if isinstance(found, tuple):
        return {f"output_{i}": value for i, value in enumerate(found)}
    return found if isinstance(found, dict) else {"": found}


def _parameters(forward: Callable[..., Any] | None) -> tuple[str, ...]:
    if forward is None:
        return ()
    try:
        found = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY))


def _check_free(arrays: Mapping[str, Any], free: Mapping[str, Sequence[int]]) -> None:
    for name, dims in free.items():
        ndim = arrays[name].ndim if name in arrays else 0
        if not all(0 < dim < ndim for dim in dims):
            known = ", ".join(f"{n!r} (dimensions 1 to {a.ndim - 1})" for n, a in arrays.items())
            raise ModelError(
                f"free_dims has {name!r}: {list(dims)}", why=f"the inputs are {known}", fix="name one of them"
            )


def _output(name: str, found: Sequence[Any], wider: Any) -> Tensor:
    from clouddeploy.runtime.signature import DTYPES

    what = f"output {name!r}" if name else "the output"
    sizes = [array.shape[0] if getattr(array, "ndim", 0) else None for array in found]
    if sizes != list(BATCHES):
        raise ModelError(
            f"{what} has {sizes[1]} rows for {BATCHES[1]} examples",
            why="the first dimension of every output must be the batch",
            fix="return one row for each example",
        )
    if dtype_of(found[0]) not in DTYPES:
        raise ModelError(
            f"{what} has dtype {dtype_of(found[0])}", why=f"allowed: {', '.join(DTYPES)}", fix="convert it"
        )
    shapes = [array.shape[1:] for array in (*found, wider)]
    if len({len(shape) for shape in shapes}) > 1:
        raise ModelError(
            f"{what} changes its number of dimensions", fix="return arrays of one shape an example"
        )
    free = tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True))
    return Tensor(name or "output", dtype_of(found[0]), (None, *free))


def difference(probe_: Probe, module: Callable[..., Any]) -> float:
    """The largest difference between `module` and the answers probed, 0.0 where bit for bit equal.

    Raises:
        ModelError: they differ by more than float32 arithmetic explains.
    """
    worst = 0.0
    for arrays, expected in zip(probe_.inputs, probe_.outputs, strict=True):
        worst = max(worst, distance(expected, answers(module, probe_, arrays)))
    return worst


def distance(expected: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """The largest absolute difference between two answers.

    Raises:
        ModelError: more than 1e-5 + 1e-3 of the value, or other names or shapes.
    """
    return max((_gap(name, want, found.get(name)) for name, want in expected.items()), default=0.0)


def _gap(name: str, want: Any, got: Any) -> float:
    import numpy as np

    if got is None or want.shape != got.shape:
        raise ModelError(
            "what was saved answers with other outputs than the module", fix="report it, with the module"
        )
    same = (want == got) | ((want != want) & (got != got))  # NaN answers NaN
    if same.all():
        return 0.0
    if want.dtype.kind != "f" or not np.allclose(want, got, rtol=1e-3, atol=1e-5, equal_nan=True):
        place = f"{name or 'output'}[{int(np.argwhere(~same)[0][0])}]"
        raise ModelError(
            f"what was saved answers differently from the module, in {place}",
            why="the module is random in evaluation mode, or depends on something that is not saved",
            fix="make forward depend on its inputs and weights alone",
        )
    return float(np.abs(want.astype(np.float64) - got.astype(np.float64))[~same].max())
