"""The example input: what the model takes, read from a batch of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clouddeploy.errors import ModelError
from clouddeploy.model.signature import Signature, Tensor


def arrays_of(example: Any, names: Sequence[str] = ()) -> dict[str, Any]:
    """`example` as numpy arrays by input name.

    Args:
        example: a tensor, array or list; a tuple of them; or a dict of them. First dimension the batch.
        names: names for the members of a tuple, or for a single one; ``input`` or ``input_0`` … otherwise.

    Raises:
        ModelError: it is no batch, or something else.
    """
    if isinstance(example, Mapping):
        named = {str(name): value for name, value in example.items()}
    elif isinstance(example, tuple):
        plain = [f"input_{i}" for i in range(len(example))] if len(example) > 1 else ["input"]
        named = dict(zip([*names[: len(example)], *plain[len(names) :]], example, strict=True))
    else:
        named = {names[0] if names else "input": example}
    found = {name: _array(name, value) for name, value in named.items()}
    sizes = {len(array) for array in found.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise ModelError(
            f"the inputs of example_input have {sorted(sizes)} examples",
            why="the first dimension of every input is the batch",
            fix="give every input the same number of examples, at least one",
        )
    return found


def _array(name: str, value: Any) -> Any:
    import numpy as np

    from clouddeploy.runtime.signature import DTYPES

    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"example_input {name!r} is no array", why=str(error), fix="give an array or tensor"
        ) from error
    if array.dtype.kind == "U":
        array = array.astype(object)
    dtype = dtype_of(array)
    if dtype not in DTYPES:
        raise ModelError(
            f"example_input {name!r} has dtype {dtype}", why=f"allowed: {', '.join(DTYPES)}", fix="convert it"
        )
    if array.ndim == 0:
        raise ModelError(
            f"example_input {name!r} is one number",
            why="the first dimension is the batch",
            fix="give a batch, such as x[None] for one example",
        )
    return array


def dtype_of(array: Any) -> str:
    """The dtype's name in a signature: numpy's own, or ``str`` for text."""
    text = array.dtype.kind == "O" and all(type(value) is str for value in array.reshape(-1))
    return "str" if text or array.dtype.kind == "U" else str(array.dtype.name)


def batch(arrays: Mapping[str, Any], size: int) -> dict[str, Any]:
    """`size` examples taken in turn from `arrays`."""
    import numpy as np

    return {name: array[np.arange(size) % len(array)] for name, array in arrays.items()}


def grown(arrays: Mapping[str, Any], free: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """`arrays` with one more element along each free dimension, repeating the last."""
    import numpy as np

    found = dict(arrays)
    for name, dims in free.items():
        for dim in dims:
            last = np.take(found[name], [-1], axis=dim)
            found[name] = np.concatenate([found[name], last], axis=dim)
    return found


def tensors_of(
    arrays: Mapping[str, Any], free: Mapping[str, Sequence[int]] | None = None
) -> tuple[Tensor, ...]:
    """What `arrays` are, with the batch and the `free` dimensions left open."""
    found = []
    for name, array in arrays.items():
        open_dims = {0, *(free or {}).get(name, ())}
        shape = tuple(None if dim in open_dims else size for dim, size in enumerate(array.shape))
        found.append(Tensor(name, dtype_of(array), shape))
    return tuple(found)


def json_example(arrays: Mapping[str, Any]) -> Any:
    """One example of `arrays` as the JSON values of a batch; None where JSON can't hold it."""
    from clouddeploy.runtime.encode import plain
    from clouddeploy.runtime.strict_json import dumps

    one = batch(arrays, 1)
    rows = plain(one if len(one) > 1 else next(iter(one.values())))
    try:
        dumps(rows)
    except ValueError:  # NaN or infinity in the example
        return None
    return rows


def signature_of(example: Any) -> Signature | None:
    """The signature of what takes `example`, with nothing known of its outputs."""
    if example is None:
        return None
    arrays = arrays_of(example)
    return Signature(tensors_of(arrays), (), json_example(arrays))
