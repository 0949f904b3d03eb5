"""The quick ways give exactly what the runtime gives, or leave it to the runtime."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clouddeploy.runtime import npy
from clouddeploy.runtime.decode import JSON, NPY, Request, decode
from clouddeploy.runtime.encode import Result, encode
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.service import Service
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.engine import fast as fast_module
from clouddeploy.server.engine.codec import Codec
from clouddeploy.server.engine.fast import FastJson
from clouddeploy.server.engine.jobs import Rows

FLOATS = ("float32", "float64")
DTYPES = ("float16", *FLOATS, "int8", "int64", "uint8", "uint32", "uint64", "bool")
PIECES = [
    *(
        "0",
        "-0",
        "-0.0",
        "0.1",
        "1",
        "-1",
        "1e5",
        "1E-3",
        "1e400",
        "1e39",
        "-3.5e38",
        "5e-324",
        "1e-400",
        "01",
    ),
    *("1.", ".5", "+1", "1e", "0x1", "NaN", "Infinity", "-", "true", "false", "null", '"1"', "{}", "[]"),
    *(
        "16777217",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "127",
        "128",
        "256",
        "65504",
    ),
    *("3.4028235677973366e38", "1" * 400, "1" * 5000, "0." + "3" * 900, "2.2250738585072011e-308"),
]


def signature_of(dtype: str, shape: tuple[int | None, ...]) -> Signature:
    return Signature((Tensor("x", dtype, (None, *shape)),))


def fast_of(dtype: str, *shape: int | None) -> FastJson:
    found = FastJson.of(signature_of(dtype, shape))
    assert found is not None
    return found


def check(body: bytes, dtype: str, shape: tuple[int | None, ...]) -> bool:
    """Whether the fast way took `body`; then it got what the runtime gets."""
    fast = fast_of(dtype, *shape)
    read = fast.read(body)
    array = fast.array(read.values) if isinstance(read, Rows) else read.inputs if read else None
    if read is None or array is None:
        return False
    wanted = decode(body, JSON, signature_of(dtype, shape))
    assert isinstance(array, np.ndarray)
    assert isinstance(wanted.inputs, np.ndarray)
    assert (read.size, read.single) == (wanted.size, wanted.single)
    assert (array.dtype, array.shape) == (wanted.inputs.dtype, wanted.inputs.shape)
    assert array.tobytes() == wanted.inputs.tobytes()
    assert array.flags.writeable
    return True


@st.composite
def shaped(draw: st.DrawFn) -> tuple[str, tuple[int | None, ...], bool, Any]:
    """A dtype, a signature's shape, whether it is one example, and values that mostly fit."""
    dtype = draw(st.sampled_from(DTYPES))
    sizes = draw(st.lists(st.integers(0, 3), max_size=4))
    single = draw(st.booleans())
    kind = np.dtype(dtype)
    numbers: Any = {
        "b": st.booleans(),
        "f": st.floats(allow_nan=False, allow_infinity=False)
        | st.floats(width=32, allow_nan=False, allow_infinity=False)
        | st.integers(-(2**70), 2**70),
    }.get(kind.kind, st.integers(-300, 300) | st.integers(-(2**64), 2**64))

    def nested(left: list[int]) -> Any:
        return [nested(left[1:]) for _ in range(left[0])] if left else draw(numbers)

    free = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    shape = tuple(None if one else size for one, size in zip(free, sizes, strict=True))
    return dtype, shape, single, nested(sizes if single else [draw(st.integers(0, 3)), *sizes])


@given(shaped(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", ":\t")]), st.booleans())
@example(("float32", (), True, 5), (",", ":"), True)
@example(("float64", (None, 2), False, [[], []]), (",", ":"), True)
def test_what_is_read_fast_is_what_the_runtime_reads(
    what: tuple[str, tuple[int | None, ...], bool, Any], separators: tuple[str, str], large: bool
) -> None:
    dtype, shape, single, values = what
    body = json.dumps({"input" if single else "inputs": values}, separators=separators).encode()
    if large:
        body += b" " * fast_module.LARGE
    check(body, dtype, shape)


@given(
    st.sampled_from(DTYPES),
    st.sampled_from([(), (2,), (None,), (2, 2)]),
    st.sampled_from(['{"input":', '{"inputs":', '{"input":[', '{"inputs":[[', '{ "input":']),
    st.lists(st.sampled_from([*PIECES, ",", "[", "]", "}", "]]", " ", "],[", '"input":']), max_size=9),
    st.sampled_from(["}", "]}", "]]}", "]} ", "]}x", "]},", "", "]]}\x00"]),
    st.booleans(),
)
def test_malformed_bodies_are_left_to_the_runtime(
    dtype: str, shape: tuple[int | None, ...], start: str, pieces: list[str], end: str, large: bool
) -> None:
    body = (start + "".join(pieces) + end).encode()
    check(body + b"\n" * fast_module.LARGE if large else body, dtype, shape)


@given(st.sampled_from(DTYPES), st.sampled_from(PIECES), st.sampled_from(PIECES), st.booleans())
def test_every_way_to_write_a_number_is_read_alike(dtype: str, one: str, two: str, large: bool) -> None:
    for body in (f'{{"input":[{one},{two}]}}', f'{{"inputs":[[{one},{two}],[{two},{one}]]}}'):
        check(body.encode() + b" " * (fast_module.LARGE * large), dtype, (2,))


@pytest.mark.parametrize("large", [False, True])
def test_usual_bodies_are_taken(large: bool) -> None:
    more = b" " * (fast_module.LARGE * large)
    assert check(b'{"input":[0.1,-2]}' + more, "float32", (2,))
    assert check(b'{"inputs": [[0.1, -0], [-0.0, 1e-9]]}' + more, "float64", (2,))
    assert check(b'{"inputs":[[[1],[2]],[[3],[4]]]}' + more, "float32", (None, 1))
    assert check(b'{"input":[1,-2]}' + more, "int8", (2,))
    assert check(b'{"input":[18446744073709551615]}' + more, "uint64", (1,))
    assert check(b'{"inputs":[true,false]}' + more, "bool", ())


@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[1,2],"input":[3,4]}',
        b'{"input":[1,2],"x":1}',
        b'{"input":[1,true]}',
        b'{"input":[null,2]}',
        b'{"input":[1,2,3]}',
        b'{"input":[[1,2]]}',
        b'{"input":[1e39,2]}',
        b'{"inputs":[]}',
        b'{"inputs":[[1,2],[3]]}',
        b'{"inputs":{"a":1}}',
        b'\xef\xbb\xbf{"input":[1,2]}',
        b'{"input":[1,2]}\xff',
        b'{"in\\u0070ut":[1,2]}',
        b'{"input":' + b"[" * 100_000,
        b"",
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_what_the_runtime_refuses_or_knows_better_is_left_to_it(body: bytes, large: bool) -> None:
    assert not check(body + b" " * (fast_module.LARGE * large), "float32", (2,))


@pytest.mark.parametrize("shape", [(), (2,), (None, 2), (1, 2, 1, 2)])
def test_text_and_deep_shapes_and_several_inputs_have_no_fast_way(shape: tuple[int | None, ...]) -> None:
    assert FastJson.of(signature_of("str", shape)) is None
    assert FastJson.of(signature_of("float32", (*shape, 1, 2, 3, 4, 5))) is None
    two = Signature((Tensor("a", "float32", (None,)), Tensor("b", "float32", (None,))))
    assert FastJson.of(two) is None
    assert FastJson.of(Signature()) is None


OUTPUTS = st.sampled_from(["float16", "float32", "float64", "int8", "int64", "uint64", "bool"])


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    dtype = draw(OUTPUTS)
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(0, 3), max_size=3)))
    elements = None
    if dtype.startswith("float") and draw(st.booleans()):
        usual = st.integers(-(10**8), 10**8).map(lambda n: float(n) / 1e5)
        odd = st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 1e-4, 1e-5, 1e13])
        elements = (usual | odd).map(lambda n: float(np.array(n).astype(dtype)) if abs(n) < 6e4 else n)
        elements = elements.filter(lambda n: dtype != "float16" or not 6e4 <= abs(n) < float("inf"))
        elements = elements.map(lambda n: float(np.array(n).astype(dtype)))
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    return draw(st.sampled_from([array, np.asfortranarray(array), array[::-1]]))


def written(answer: Result, accept: str, write: Any) -> Any:
    try:
        return write(answer, accept)
    except WireError as error:
        return error.body()


@given(
    arrays(),
    arrays(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([JSON, "*/*", "", NPY, "text/csv", "x/y"]),
)
def test_what_is_written_fast_is_what_the_runtime_writes(
    one: Any, two: Any, named: bool, single: bool, accept: str
) -> None:
    outputs = {"one": one, 'two "ü"': np.resize(two, (len(one), *two.shape[1:]))} if named else one
    codec = Codec(Service(lambda inputs: inputs, signature_of("float32", (2,))))
    for _ in range(2):  # the second time with what was remembered
        assert written(Result(outputs, single), accept, codec.write) == written(
            Result(outputs, single), accept, encode
        )


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200))
def test_any_float32_is_written_as_the_runtime_writes_it(bits: list[int]) -> None:
    array = np.array(bits, np.uint32).view(np.float32)
    array = array[np.isfinite(array)].reshape(-1, 1)
    rows = fast_of("float32", 2).write(array) if array.size else None
    if rows is not None:
        assert b'{"predictions":[%b]}' % b",".join(rows) == encode(Result(array), JSON)[0]


def test_many_usual_numbers_are_written_fast() -> None:
    array = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    rows = fast_of("float32", 2).write(array[(np.abs(array) > 1e-4).all(axis=1)])
    assert rows is not None
    assert fast_of("float32", 2).write(np.array([[10.00001, 0, -0.0]], np.float32)) is not None
    assert fast_of("float32", 2).write(np.array([[1e-5]], np.float32)) is None
    assert fast_of("float32", 2).write(np.array([[np.nan]], np.float32)) is None


@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64", "int32", "uint8", "bool", ">f4", "<U3"]),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ),
    st.sampled_from(["float32", "float64", "int32", "bool"]),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from([b"", b"x", b"1234"]),
)
def test_npy_bodies_are_read_as_the_runtime_reads_them(
    array: Any, dtype: str, fortran: bool, cut: int, more: bytes
) -> None:
    body = npy.write(array)
    if fortran:
        body = body.replace(b"'fortran_order': False", b"'fortran_order': True ")
    body = body[: len(body) - cut] + more
    signature = signature_of(dtype, (None,))
    codec = Codec(Service(lambda inputs: inputs, signature))
    with_good = npy.write(np.ones(array.shape, dtype)) if array.size else body
    for data in (body, body, with_good, with_good, body):
        wanted = outcome(partial(decode, data, NPY, signature))
        found = outcome(partial(codec.read, data, NPY))
        if isinstance(wanted, bytes):
            assert found == wanted
            continue
        assert type(found) is Request
        one, two = found.inputs, wanted.inputs
        assert (one.dtype, one.shape) == (two.dtype, two.shape)  # type: ignore[union-attr]
        assert one.tobytes() == two.tobytes()  # type: ignore[union-attr]
        assert one.flags.writeable  # type: ignore[union-attr]
        assert (found.size, found.single) == (wanted.size, wanted.single)


def outcome(act: Any) -> Any:
    try:
        return act()
    except WireError as error:
        return error.body()


def test_a_header_that_only_looks_like_numpys_is_never_remembered() -> None:
    codec = Codec(Service(lambda inputs: inputs, signature_of("float32", (2,))))
    body = npy.write(np.array([[1, 2]], np.int32))
    trick = body.replace(b", }" + b" " * 10, b", 'x': '<f4'}")
    assert trick != body
    assert len(trick) == len(body)
    for _ in range(2):
        assert outcome(lambda: codec.read(trick, NPY).inputs.tolist()) == outcome(  # type: ignore[union-attr]
            lambda: decode(trick, NPY, signature_of("float32", (2,))).inputs.tolist()  # type: ignore[union-attr]
        )


def test_the_bodys_limit_holds_for_the_quick_ways_too() -> None:
    codec = Codec(Service(lambda inputs: inputs, signature_of("float32", (2,)), body_limit=20))
    assert isinstance(codec.read(b'{"input":[1,2]}', JSON), Rows)
    with pytest.raises(WireError, match="at most 20 are read"):
        codec.read(b'{"input":[1,2]      }', JSON)
    with pytest.raises(WireError, match="at most 20 are read"):
        codec.read(npy.write(np.ones((1, 2), np.float32)), NPY)


def test_a_media_type_with_its_charset_is_read_fast() -> None:
    codec = Codec(Service(lambda inputs: inputs, signature_of("float32", (2,))))
    for kind in ("application/json; charset=utf-8", "application/json;charset=utf-8", ""):
        assert isinstance(codec.read(b'{"input":[1,2]}', kind), Rows)
    with pytest.raises(WireError, match="content type"):
        codec.read(b'{"input":[1,2]}', "text/plain")
