from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clouddeploy.runtime import npy
from clouddeploy.runtime.decode import decode
from clouddeploy.runtime.encode import Result, encode
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.wire import CSV, JSON, NPY, Signature, Tensor, decode_predictions, encode_inputs

NUMBERS = [f"float{n}" for n in (16, 32, 64)] + [
    f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)
]
shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)


def one_input(dtype: str, *sizes: int | None) -> Signature:
    return Signature((Tensor("x", dtype, (None, *sizes)),), (Tensor("y", dtype, (None, *sizes)),))


@st.composite
def batches(draw: st.DrawFn, kinds: list[str]) -> np.ndarray[Any, Any]:
    kind = draw(st.sampled_from(kinds))
    elements = {"allow_nan": False, "allow_infinity": False} if kind.startswith("float") else None
    return draw(hnp.arrays(kind, shapes, elements=elements))


def same(one: Any, two: Any) -> bool:
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


@given(batches([*NUMBERS, "bool"]))
def test_predictions_survive_json_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    body, kind = encode(Result(array), JSON)
    assert same(decode_predictions(body, kind, one_input(array.dtype.name, *array.shape[1:])), array)
    json.loads(body, parse_constant=lambda word: pytest.fail(word))


@given(batches([*NUMBERS, "bool"]))
def test_inputs_survive_json_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    signature = one_input(array.dtype.name, *array.shape[1:])
    assert same(decode(*encode_inputs(array, JSON), signature).inputs, array)


@given(batches([*NUMBERS, "bool"]))
def test_npy_carries_every_array_without_a_signature(array: np.ndarray[Any, Any]) -> None:
    assert same(decode(*encode_inputs(array, NPY), Signature()).inputs, array)
    assert same(decode_predictions(*encode(Result(array), NPY)), array)


@given(batches(NUMBERS))
def test_csv_carries_numbers_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    body, kind = encode_inputs(array, CSV)
    signature = one_input(array.dtype.name, *(array.shape[1:] or (1,)))
    expected = array.reshape(len(array), -1) if array.ndim == 1 else array
    assert same(decode(body, kind, signature).inputs, expected)


@given(st.lists(st.text(), min_size=1, max_size=20))
def test_text_survives_json(words: list[str]) -> None:
    array = np.array(words, dtype=object)
    assert decode(*encode_inputs(array), one_input("str")).inputs.tolist() == words
    assert decode_predictions(*encode(Result(array), JSON)).tolist() == words


def test_numpy_fixed_width_text_is_sent_too() -> None:
    assert decode(*encode_inputs(np.array(["a", "bcd"])), Signature()).inputs.tolist() == ["a", "bcd"]


def test_several_named_inputs_travel_as_an_object_for_each_example() -> None:
    inputs = {"age": np.array([3, 4]), "name": np.array(["a", "b"], dtype=object)}
    body, kind = encode_inputs(inputs)
    assert body == b'{"inputs":[{"age":3,"name":"a"},{"age":4,"name":"b"}]}'
    found = decode(body, kind, Signature()).inputs
    assert found["age"].tolist() == [3, 4]
    assert found["name"].tolist() == ["a", "b"]


def test_several_outputs_travel_as_an_object_for_each_example() -> None:
    outputs = {"p": np.array([[0.1], [0.2]], dtype=np.float32), "top": np.array([1, 0])}
    body, kind = encode(Result(outputs), f"{NPY}, {JSON};q=0.9")
    assert body == b'{"predictions":[{"p":[0.1],"top":1},{"p":[0.2],"top":0}]}'
    signature = Signature((), (Tensor("p", "float32", (None, 1)), Tensor("top", "int64", (None,))))
    found = decode_predictions(body, kind, signature)
    assert all(same(found[name], outputs[name]) for name in outputs)


def test_one_example_gets_one_prediction() -> None:
    request = decode(b'{"input":[1,2]}', JSON, one_input("float32", 2))
    assert request.single
    assert request.inputs.shape == (1, 2)
    body, _ = encode(Result(np.array([[1.5]]), single=True), JSON)
    assert body == b'{"prediction":[1.5]}'
    assert decode_predictions(body, JSON).tolist() == [[1.5]]


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ('{"inputs":[[1,2],[3]]}', "bad_shape", "inputs[1]"),
        ('{"inputs":[[1,2],3]}', "bad_shape", "inputs[1]"),
        ('{"inputs":[[1,2],[3,"a"]]}', "bad_dtype", "inputs[1][1]"),
        ('{"inputs":[[1,null]]}', "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,true]]}', "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,{}]]}', "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,1e39]]}', "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,1e999]]}', "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,' + "9" * 400 + "]]}", "bad_dtype", "inputs[0][1]"),
        ('{"inputs":[[1,' + "9" * 5000 + "]]}", "bad_json", "number"),
        ('{"inputs":[[1,2,3]]}', "bad_shape", "inputs[0]"),
        ('{"inputs":[]}', "bad_shape", "inputs"),
        ('{"inputs":5}', "bad_input", "inputs"),
        ('{"input":[1,2,3]}', "bad_shape", "input has shape"),
        ('{"input":[1,null]}', "bad_dtype", "input[1]"),
        ('{"inputs":[[1,NaN]]}', "bad_json", "NaN"),
        ('{"inputs":[[1,-Infinity]]}', "bad_json", "-Infinity"),
        ('{"inputs":[[1,2]],"inputs":[[1,2]]}', "bad_json", "'inputs'"),
        ('{"inputs":[[1,2]],"input":[1,2]}', "bad_input", "'input'"),
        ('{"data":[[1,2]]}', "bad_input", "'data'"),
        ("[[1,2]]", "bad_input", "object"),
        ("{}", "bad_input", "none"),
        ('{"inputs":[[1,2]', "bad_json", "line 1"),
        ("[" * 100_000, "bad_json", "deep"),
        ('{"inputs":' + "[" * 500 + "]" * 500 + "}", "bad_shape", "dimensions"),
        ("", "empty_body", "empty"),
        (" \n", "empty_body", "empty"),
    ],
)
def test_a_wrong_body_is_refused_with_its_code_and_place(body: str, code: str, path: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(body.encode(), JSON, one_input("float32", 2))
    assert caught.value.code == code
    assert path in caught.value.message
    assert caught.value.fix


def test_body_that_is_not_utf8_is_refused_and_a_byte_order_mark_is_not() -> None:
    with pytest.raises(WireError, match="UTF-8 at byte 12"):
        decode(b'{"inputs":["\xff"]}', JSON, Signature())
    assert decode(b'\xef\xbb\xbf{"inputs":[1]}', JSON, Signature()).inputs.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "dtype"), [("[1,2]", "int64"), ("[1,2.5]", "float64"), ("[true]", "bool"), ('["a"]', "object")]
)
def test_without_a_signature_values_keep_their_json_type(rows: str, dtype: str) -> None:
    assert decode(f'{{"inputs":{rows}}}'.encode(), JSON, Signature()).inputs.dtype == dtype


@pytest.mark.parametrize("value", ["2.0", "300", "-1", '"1"', "true"])
def test_a_byte_input_takes_whole_numbers_in_its_range_only(value: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(f'{{"inputs":[{value}]}}'.encode(), JSON, one_input("uint8"))
    assert caught.value.code == "bad_dtype"
    assert "inputs[0]" in caught.value.message


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ('{"inputs":[{"a":1}]}', "bad_input", "inputs[0].b is missing"),
        ('{"inputs":[{"a":1,"b":2},{"a":1,"b":2,"c":3}]}', "bad_input", "inputs[1].c is unknown"),
        ('{"inputs":[{"a":1,"b":2},[1,2]]}', "bad_input", "inputs[1]"),
        ('{"inputs":[{"a":1,"b":[2]}]}', "bad_shape", "inputs[0].b"),
        ('{"inputs":[{"a":"x","b":2}]}', "bad_dtype", "inputs[0].a"),
    ],
)
def test_a_wrong_named_input_is_refused_with_its_path(body: str, code: str, path: str) -> None:
    signature = Signature((Tensor("a", "float32", (None,)), Tensor("b", "float32", (None,))))
    with pytest.raises(WireError) as caught:
        decode(body.encode(), JSON, signature)
    assert caught.value.code == code
    assert path in caught.value.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("1,2\n3\n", "bad_shape"),
        ("1,2,3\n", "bad_shape"),
        ("a,b\n1,2\n", "bad_dtype"),
        ("1,nan\n", "bad_input"),
        ("1,inf\n", "bad_input"),
        ('1,"2\n', "bad_input"),
        ("1,1e300\n", "bad_dtype"),
        ("\n\n", "empty_body"),
    ],
)
def test_a_wrong_csv_body_is_refused(body: str, code: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(body.encode(), CSV, one_input("float32", 2))
    assert caught.value.code == code


def test_csv_takes_a_byte_order_mark_and_any_line_end_and_is_shaped_by_the_signature() -> None:
    request = decode(b"\xef\xbb\xbf1,2,3,4\r\n5,6,7,8", CSV, one_input("int32", 2, 2))
    assert request.inputs.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def npy_bytes(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array([1 + 2j]), np.array(["2020"], "M8[Y]"), np.zeros(2, "i4,f4")]
)
def test_npy_that_is_no_plain_array_is_refused(array: Any) -> None:
    with pytest.raises(WireError) as caught:
        decode(npy_bytes(array, allow_pickle=True), NPY, Signature())
    assert caught.value.code == "bad_dtype"


def test_npy_whose_header_claims_more_than_the_body_holds_is_refused() -> None:
    body = npy_bytes(np.zeros(2)).replace(b"(2,)", b"(9,)")
    with pytest.raises(WireError, match="its header says 72"):
        decode(body, NPY, Signature())


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(3, dtype=">i4")]
)
def test_npy_in_fortran_order_or_of_the_other_byte_order_is_read(array: Any) -> None:
    found = npy.read(npy_bytes(array))
    assert np.array_equal(found, array)
    assert found.dtype.isnative


def test_floats_are_no_input_for_a_whole_number() -> None:
    with pytest.raises(WireError) as caught:
        decode(npy_bytes(np.zeros(2)), NPY, one_input("int64"))
    assert caught.value.code == "bad_dtype"


@pytest.mark.parametrize(
    "kind", ["application/xml", "application/json; charset=latin-1", "text/plain", ";;;"]
)
def test_another_content_type_is_refused(kind: str) -> None:
    if kind == ";;;":
        assert decode(b'{"inputs":[1]}', kind, Signature()).size == 1
        return
    with pytest.raises(WireError) as caught:
        decode(b'{"inputs":[1]}', kind, Signature())
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("text/*", CSV),
        ("text/html, application/x-npy", NPY),
        (f"{JSON};q=0.5, {NPY}", NPY),
        ("application/JSON; charset=utf-8", JSON),
    ],
)
def test_the_best_acceptable_form_is_sent(accept: str, kind: str) -> None:
    assert encode(Result(np.array([1.0])), accept)[1] == kind


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0"])
def test_a_form_that_is_not_known_is_not_acceptable(accept: str) -> None:
    with pytest.raises(WireError) as caught:
        encode(Result(np.array([1.0])), accept)
    assert caught.value.status == 406


@pytest.mark.parametrize("kind", [JSON, CSV])
def test_nan_is_an_error_where_the_form_has_none_and_says_where_it_is(kind: str) -> None:
    with pytest.raises(WireError) as caught:
        encode(Result(np.array([[1.0, 2.0], [3.0, np.nan]])), kind)
    assert caught.value.code == "non_finite_prediction"
    assert "predictions[1][1] is nan" in caught.value.message
    assert np.isnan(decode_predictions(*encode(Result(np.array([np.nan])), NPY))).all()


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ([[1, 2], [3]], "bad_shape"),
        ({"a": [1, 2], "b": [1]}, "bad_shape"),
        (np.array(5.0), "bad_shape"),
        (np.zeros((0, 2)), "bad_shape"),
        (np.array([1j]), "bad_dtype"),
    ],
)
def test_a_client_refuses_wrong_inputs_before_it_sends_them(inputs: Any, code: str) -> None:
    with pytest.raises(WireError) as caught:
        encode_inputs(inputs)
    assert caught.value.code == code


def test_a_client_refuses_inputs_that_do_not_fit_the_signature() -> None:
    with pytest.raises(WireError, match="takes \\(2\\)"):
        encode_inputs(np.zeros((3, 4)), None, one_input("float32", 2))


@pytest.mark.parametrize(
    ("dtype", "body", "expected"), [("bool", b"1,0\n", [[True, False]]), ("str", b"a,\n", [["a", ""]])]
)
def test_csv_carries_flags_and_text_where_the_model_takes_them(
    dtype: str, body: bytes, expected: Any
) -> None:
    assert decode(body, CSV, one_input(dtype, 2)).inputs.tolist() == expected
