"""What each command prints, asks and returns; the deployer behind them is a fake."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fake_deployer import TOML, FakeCloud, cli, project

from clouddeploy.autoscaling.policy import Autoscaling
from clouddeploy.errors import CredentialsError, LeftBehind


def test_plan_prints_the_plan_and_tells_changes_by_20(tmp_path: Path) -> None:
    done = cli("plan", folder=project(tmp_path))
    assert done.code == 20
    assert "digits" in done.out
    assert done.err == ""


def test_plan_returns_0_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert cli("plan", folder=project(tmp_path), cloud=FakeCloud({"digits": "r1"})).code == 0


def test_plan_as_json_has_a_stable_shape(tmp_path: Path) -> None:
    done = cli("plan", "--json", folder=project(tmp_path))
    found = json.loads(done.out)
    assert set(found) == {
        "name",
        "target",
        "title",
        "changes",
        "summary",
        "counts",
        "steps",
        "findings",
        "costs",
        "warnings",
    }
    assert (found["name"], found["target"], found["changes"]) == ("digits", "fake", True)


def test_plan_takes_a_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    project(tmp_path / "there")
    assert cli("plan", "there", folder=tmp_path).code == 20


def test_deploy_on_a_terminal_asks_and_a_no_changes_nothing(tmp_path: Path) -> None:
    cloud = FakeCloud()
    done = cli("deploy", folder=project(tmp_path), cloud=cloud, answer="n\n")
    assert (done.code, cloud.there) == (0, {})
    assert "Deploy? [y/N]" in done.err
    assert "nothing was changed" in done.err


def test_deploy_goes_on_after_a_yes(tmp_path: Path) -> None:
    cloud = FakeCloud()
    done = cli("deploy", folder=project(tmp_path), cloud=cloud, answer="y\n")
    assert list(cloud.there) == ["digits"]
    assert done.out.startswith("digits on fake: ready, release ")
    assert "endpoint/digits: done (2 s)" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ["deploy"],
        ["delete", "digits"],
        ["rollback", "digits"],
        ["traffic", "digits", "ab12=100"],
        ["scale", "digits"],
    ],
)
def test_what_changes_things_refuses_without_a_terminal_and_without_yes(
    tmp_path: Path, command: list[str]
) -> None:
    cloud = FakeCloud({"digits": "r1"})
    done = cli(*command, folder=project(tmp_path), cloud=cloud)
    assert (done.code, cloud.there, cloud.asked) == (2, {"digits": "r1"}, [])
    assert "add --yes" in done.err


def test_deploy_with_yes_asks_nothing_and_tells_json(tmp_path: Path) -> None:
    done = cli("deploy", "--yes", "--json", folder=project(tmp_path))
    found = json.loads(done.out)
    assert set(found) == {"name", "target", "phase", "native", "release", "reason", "copies", "changed"}
    assert found["changed"] is True


def test_deploy_again_has_nothing_to_do(tmp_path: Path) -> None:
    cloud = FakeCloud()
    project(tmp_path)
    cli("deploy", "--yes", folder=tmp_path, cloud=cloud)
    done = cli("deploy", "--yes", "--json", folder=tmp_path, cloud=cloud)
    assert json.loads(done.out)["changed"] is False
    assert "nothing to do" in done.err


def test_package_tells_path_size_and_digest(tmp_path: Path) -> None:
    out = tmp_path / "m.tar.gz"
    done = cli("package", "--out", str(out), "--json", folder=project(tmp_path))
    found = json.loads(done.out)
    assert set(found) == {"path", "bytes", "model"}
    assert (found["path"], found["bytes"]) == (str(out), 8)


def test_status_prints_and_has_a_stable_shape(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1"})
    assert (
        "phase    ready (InService)"
        in cli("status", "digits", "--target", "fake", folder=tmp_path, cloud=cloud).out
    )
    done = cli("status", "digits", "--target", "fake", "--json", folder=tmp_path, cloud=cloud)
    assert json.loads(done.out) == {
        "name": "digits",
        "target": "fake",
        "phase": "ready",
        "native": "InService",
        "release": "r1",
        "reason": "",
        "copies": 1,
    }


def test_status_of_nothing_is_not_found(tmp_path: Path) -> None:
    done = cli("status", "digits", "--target", "fake", folder=tmp_path)
    assert done.code == 5
    assert "clouddeploy list --target fake" in done.err


def test_list_prints_rows_and_json(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1", "other": "r2"})
    assert cli("list", "--target", "fake", folder=tmp_path, cloud=cloud).out.splitlines()[0].split() == [
        "digits",
        "ready",
        "r1",
    ]
    found = json.loads(cli("list", "--target", "fake", "--json", folder=tmp_path, cloud=cloud).out)
    assert set(found) == {"target", "deployments"}
    assert set(found["deployments"][0]) == {"name", "target", "phase", "release", "created"}


def test_an_empty_list_prints_no_data(tmp_path: Path) -> None:
    done = cli("list", "--target", "fake", folder=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "nothing is deployed on fake\n")


def test_delete_removes_and_deleting_again_succeeds(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1"})
    flags = ("--target", "fake", "--yes", "--json")
    first = cli("delete", "digits", *flags, folder=tmp_path, cloud=cloud)
    again = cli("delete", "digits", *flags, folder=tmp_path, cloud=cloud)
    assert json.loads(first.out) == {"name": "digits", "target": "fake", "deleted": True}
    assert json.loads(again.out)["deleted"] is False
    assert (first.code, again.code, cloud.there) == (0, 0, {})


def test_package_writes_a_folder_where_the_path_is_that_of_one(tmp_path: Path) -> None:
    folder, out, cloud = project(tmp_path), tmp_path / "made", FakeCloud()
    cli("package", "--out", f"{out}/", folder=folder, cloud=cloud)
    cli("package", "--out", str(out), folder=folder, cloud=cloud)
    assert [what[1] for what in cloud.asked if what[0] == "package"] == ["none", "auto"]


def test_traffic_shows_the_shares_and_sets_new_ones(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "1f2e3d4c5b"})
    where = ("--target", "fake")
    shown = cli("traffic", "digits", *where, folder=tmp_path, cloud=cloud)
    assert (shown.code, shown.out) == (0, "1f2e3d4c5b  100 %\n")
    asked = ("traffic", "digits", "1f2e3d4c5b=10", "0a1b2c3d4e=90%")
    done = cli(*asked, *where, "--yes", folder=tmp_path, cloud=cloud)
    assert (done.code, done.out) == (0, "1f2e3d4c5b   10 %\n0a1b2c3d4e   90 %\n")
    refused = cli(*asked[:2], "1f2e3d4c5b", *where, "--yes", folder=tmp_path, cloud=cloud)
    assert refused.code == 2
    assert "is no share" in refused.err
    twice = cli("traffic", "digits", "1f2e=50", "1f2e=50", *where, "--yes", folder=tmp_path)
    assert twice.code == 2
    assert "'1f2e' stands twice" in twice.err
    unsure = cli(*asked, *where, folder=tmp_path, cloud=FakeCloud({"digits": "1f2e3d4c5b"}), answer="n\n")
    assert unsure.out == ""
    assert "nothing was changed" in unsure.err


def test_scale_hands_the_policy_on(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1"})
    asked = ("scale", "digits", "--min", "2", "--max", "5", "--concurrency", "8", "--target", "fake", "--yes")
    done = cli(*asked, folder=tmp_path, cloud=cloud)
    assert (done.code, done.out) == (0, "digits on fake: 2 to 5 copies\n")
    assert ("scale", "digits", Autoscaling(min=2, max=5, concurrency=8)) in cloud.asked
    done = cli("scale", "digits", "--min", "3", "--target", "fake", "--yes", folder=tmp_path, cloud=cloud)
    assert done.out == "digits on fake: 3 copies\n"
    assert ("scale", "digits", Autoscaling(min=3, max=3)) in cloud.asked
    none = cli("scale", "digits", "--min", "0", "--target", "fake", "--yes", folder=tmp_path, cloud=cloud)
    assert ("scale", "digits", Autoscaling(min=0, max=1)) in cloud.asked
    assert none.code == 0
    wrong = ("scale", "digits", "--min", "3", "--max", "2", "--target", "fake", "--yes")
    refused = cli(*wrong, folder=tmp_path, cloud=cloud)
    assert refused.code == 2
    assert "min must not exceed max" in refused.err


def test_rollback_serves_the_release_that_was_asked_for(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r2"})
    done = cli("rollback", "digits", "--to", "r1", "--target", "fake", "--yes", folder=tmp_path, cloud=cloud)
    assert done.out == "digits on fake: ready, release r1\n"


def test_logs_print_lines_and_json(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1"})
    done = cli(
        "logs", "digits", "--since", "15m", "--limit", "1", "--target", "fake", folder=tmp_path, cloud=cloud
    )
    assert done.out == "ready\n"
    assert cloud.asked[-1] == ("logs", 900.0, 1)
    done = cli("logs", "digits", "--json", "--target", "fake", folder=tmp_path, cloud=cloud)
    assert json.loads(done.out) == {"name": "digits", "lines": ["loading", "ready"]}


def test_logs_of_nothing_are_not_told_as_none(tmp_path: Path) -> None:
    done = cli("logs", "nothing", "--target", "fake", folder=tmp_path, cloud=FakeCloud(lines=[]))
    assert (done.code, done.out) == (5, "")
    assert "nothing runs under 'nothing'" in done.err


@pytest.mark.parametrize("flags", [("--since", "soon"), ("--limit", "0"), ("--limit", "x")])
def test_logs_refuse_what_is_no_span_or_count(tmp_path: Path, flags: tuple[str, str]) -> None:
    done = cli("logs", "digits", *flags, "--target", "fake", folder=tmp_path)
    assert done.code == 2
    assert flags[1] in done.err


@pytest.mark.parametrize(
    ("name", "content", "sent"),
    [
        ("a.json", b"[[1]]", (b'{"inputs":[[1]]}', "application/json", "application/json")),
        ("a.json", b'{"input":[1]}', (b'{"input":[1]}', "application/json", "application/json")),
        ("a.csv", b"1,2\n", (b"1,2\n", "text/csv", "application/json")),
        ("a.npy", b"\x93NUMPY", (b"\x93NUMPY", "application/x-npy", "application/json")),
    ],
)
def test_predict_sends_the_file_as_it_is(
    tmp_path: Path, name: str, content: bytes, sent: tuple[bytes, str, str]
) -> None:
    (tmp_path / name).write_bytes(content)
    cloud = FakeCloud({"digits": "r1"})
    done = cli("predict", "digits", "--input", name, "--target", "fake", folder=tmp_path, cloud=cloud)
    assert (done.code, done.out, cloud.asked[-1]) == (0, '{"predictions":[1]}\n', sent)


@pytest.mark.parametrize(
    ("content", "media"),
    [(b"\x93NUMPYx", "application/x-npy"), (b" [[1]]", "application/json"), (b"1,2", "text/csv")],
)
def test_predict_reads_standard_input_and_knows_its_kind(tmp_path: Path, content: bytes, media: str) -> None:
    cloud = FakeCloud({"digits": "r1"})
    stdin = io.TextIOWrapper(io.BytesIO(content))
    cli("predict", "digits", "--input", "-", "--target", "fake", folder=tmp_path, cloud=cloud, stdin=stdin)
    assert cloud.asked[-1][1] == media


def test_predict_writes_the_answer_in_the_form_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[[1]]")
    cloud = FakeCloud({"digits": "r1"})
    flags = ("--input", "a.json", "--output", "out.csv", "--target", "fake", "--json")
    done = cli("predict", "digits", *flags, folder=tmp_path, cloud=cloud)
    assert cloud.asked[-1][2] == "text/csv"
    assert json.loads(done.out) == {"path": "out.csv", "bytes": 19, "content_type": "text/csv"}
    assert (tmp_path / "out.csv").read_bytes() == b'{"predictions":[1]}'
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "out.csv"]


def test_an_answer_that_can_not_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[[1]]")
    cloud = FakeCloud({"digits": "r1"})
    flags = ("--input", "a.json", "--output", "gone/out.csv", "--target", "fake")
    done = cli("predict", "digits", *flags, folder=tmp_path, cloud=cloud)
    assert done.code == 2
    assert "--output 'gone/out.csv' can't be written" in done.err
    assert cloud.asked == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.json", None, "can't be read"),
        ("empty.json", b" \n", "is empty"),
        ("a.pickle", b"x", "allowed: .json, .npy, .csv"),
    ],
)
def test_predict_refuses_inputs_that_it_cannot_send(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = cli("predict", "digits", "--input", name, "--target", "fake", folder=tmp_path)
    assert done.code == 2
    assert message in done.err


def test_target_and_options_come_from_the_file_and_flags_win(tmp_path: Path) -> None:
    cloud = FakeCloud({"digits": "r1"})
    project(tmp_path, TOML + '[targets.fake]\nregion = "eu-west-1"\nbucket = "b"\n')
    cli("status", "digits", folder=tmp_path, cloud=cloud)
    cli("status", "digits", "--region", "us-east-1", "--emulated", folder=tmp_path, cloud=cloud)
    cli("status", "digits", "--target", "other", folder=tmp_path, cloud=cloud)
    assert cloud.asked == [
        ("fake", {"region": "eu-west-1", "bucket": "b"}),
        ("fake", {"region": "us-east-1", "bucket": "b", "emulated": True}),
        ("other", {}),
    ]


def test_no_target_anywhere_is_told(tmp_path: Path) -> None:
    done = cli("list", folder=tmp_path)
    assert done.code == 2
    assert "add --target sagemaker" in done.err


def test_an_error_tells_what_why_and_fix_and_its_code(tmp_path: Path) -> None:
    cloud = FakeCloud(failure=CredentialsError("no credentials", why="none found", fix="aws configure"))
    done = cli("list", "--target", "fake", "--json", folder=tmp_path, cloud=cloud)
    assert done.code == 3
    assert done.err == "error: no credentials\n  why: none found\n  fix: aws configure\n"
    assert json.loads(done.out)["error"]["code"] == "CredentialsError"


def test_what_is_left_behind_is_listed_with_its_command(tmp_path: Path) -> None:
    cloud = FakeCloud(failure=LeftBehind("undo failed", left=[("model/m", "aws sagemaker delete-model")]))
    done = cli("list", "--target", "fake", folder=tmp_path, cloud=cloud)
    assert done.code == 11
    assert "aws sagemaker delete-model" in done.err


def test_an_unexpected_exception_is_told_as_a_bug_without_a_trace(tmp_path: Path) -> None:
    cloud = FakeCloud(failure=ZeroDivisionError("x"))
    done = cli("list", "--target", "fake", folder=tmp_path, cloud=cloud)
    assert done.code == 1
    assert "this is a bug in clouddeploy: ZeroDivisionError: x" in done.err
    assert "Traceback" not in done.err


def test_the_trace_is_shown_when_asked_for(tmp_path: Path) -> None:
    cloud = FakeCloud(failure=ZeroDivisionError("x"))
    done = cli("list", "--target", "fake", folder=tmp_path, cloud=cloud, environ={"CLOUDDEPLOY_DEBUG": "1"})
    assert "Traceback" in done.err


def test_ctrl_c_ends_with_130_and_no_trace(tmp_path: Path) -> None:
    done = cli("list", "--target", "fake", folder=tmp_path, cloud=FakeCloud(failure=KeyboardInterrupt()))
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["deplyo"], "no command 'deplyo'; did you mean 'deploy'?"),
        (["plan", "--emulate"], "doesn't take '--emulate'; did you mean '--emulated'?"),
        (["emulator", "stat"], "no command 'emulator stat'; did you mean 'start'?"),
        (["package"], "--out"),
        (["predict"], "NAME"),
    ],
)
def test_a_wrong_command_line_suggests_the_nearest(tmp_path: Path, argv: list[str], message: str) -> None:
    done = cli(*argv, folder=tmp_path)
    assert done.code == 2
    assert message in done.err


def test_no_command_prints_the_help(tmp_path: Path) -> None:
    done = cli(folder=tmp_path)
    assert done.code == 0
    assert "exit codes:" in done.out
