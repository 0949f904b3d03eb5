"""Functions from container images in the embedded cloud."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from clouddeploy.emulator.functions.base_image import PYTHON, architecture
from tests.emulator.registry.conftest import GO, Images, tar

ENTRY = ["/lambda-entrypoint.sh"]
OTHER = "arm64" if architecture() == "x86_64" else "x86_64"


def test_an_image_with_a_handler_answers_and_its_digest_is_the_code_hash(images: Images) -> None:
    uri = images.push()
    name = images.function(uri)
    assert images.functions.ask(name, {"a": 1}).body == {"a": 1}
    told = images.functions.api.get_function(FunctionName=name)
    assert told["Configuration"]["CodeSha256"] == uri.partition("@sha256:")[2]
    assert told["Configuration"]["PackageType"] == "Image"
    assert "Runtime" not in told["Configuration"]
    assert told["Code"] == {"RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": uri}


def test_a_tag_is_resolved_when_the_function_is_made_and_not_later(images: Images) -> None:
    _, repository = images.repository()
    first = images.image().push(images.registry, repository, "live")
    name = images.function(f"{images.host}/{repository}:live")
    newer = images.image({"app.py": "def go(event, context):\n    return 'newer'\n"})
    newer.push(images.registry, repository, "live")
    assert images.functions.ask(name, 1).body == 1
    told = images.functions.api.get_function(FunctionName=name)["Code"]
    assert told["ResolvedImageUri"] == first.reference
    images.functions.api.update_function_code(FunctionName=name, ImageUri=f"{images.host}/{repository}:live")
    assert images.functions.ask(name, 1).body == "newer"


def test_published_versions_keep_their_images(images: Images) -> None:
    _, repository = images.repository()
    name = images.function(images.image().push(images.registry, repository, "a").reference)
    old = images.functions.publish(name)
    newer = images.image({"app.py": "def go(event, context):\n    return 'newer'\n"})
    uri = newer.push(images.registry, repository, "b").reference
    images.functions.api.update_function_code(FunctionName=name, ImageUri=uri)
    new = images.functions.publish(name)
    assert images.functions.ask(name, 1, Qualifier=old).body == 1
    assert images.functions.ask(name, 1, Qualifier=new).body == "newer"


def test_the_images_environment_reaches_the_handler_and_the_functions_wins(images: Images) -> None:
    code = "import os\ndef go(event, context):\n    return [os.environ.get(n) for n in event]\n"
    env = {"OF_IMAGE": "image", "OF_BOTH": "image", "MODEL_DIR": "/var/task/model"}
    files = {"app.py": code, "model/weights": "1"}
    name = images.function(
        images.push(images.image(files, env=env)), Environment={"Variables": {"OF_BOTH": "function"}}
    )
    of_image, of_both, folder, task_root = images.functions.ask(
        name, ["OF_IMAGE", "OF_BOTH", "MODEL_DIR", "LAMBDA_TASK_ROOT"]
    ).body
    assert (of_image, of_both) == ("image", "function")
    assert folder == f"{task_root}/model"


def test_the_functions_settings_win_over_the_images(images: Images) -> None:
    files = {
        "app.py": GO,
        "sub/other.py": "import os\ndef go(event, context):\n    return os.getcwd()[-4:]\n",
    }
    config = {
        "EntryPoint": ["/usr/local/bin/python", "-m", "awslambdaric"],
        "Command": ["other.go"],
        "WorkingDirectory": "/var/task/sub",
    }
    name = images.function(images.push(images.image(files)), ImageConfig=config)
    assert images.functions.ask(name).body == "/sub"
    images.functions.api.update_function_configuration(
        FunctionName=name, ImageConfig={"Command": ["app.go"], "WorkingDirectory": "/var/task"}
    )
    assert images.functions.ask(name, 7).body == 7


def test_the_log_tells_that_a_stand_in_runs_on_this_machines_python(images: Images) -> None:
    name = images.function(images.push())
    log = images.functions.ask(name).log
    assert "stand-in" in log
    assert f"this machine's Python {PYTHON}" in log


def test_an_image_for_another_python_runs_and_says_so(images: Images) -> None:
    other = "3.13" if PYTHON != "3.13" else "3.12"
    name = images.function(images.push(images.image(python=other)))
    answer = images.functions.ask(name, 5)
    assert answer.body == 5
    assert f"THIS IS NOT Python {other}" in answer.log


def test_an_image_for_another_architecture_than_the_functions_fails_as_on_lambda(images: Images) -> None:
    name = images.function(images.push(images.image(architecture=OTHER)))
    answer = images.functions.ask(name)
    assert answer.error == "Unhandled"
    assert answer.body["errorType"] == "Runtime.InvalidEntrypoint"
    assert "fork/exec /lambda-entrypoint.sh: exec format error" in answer.body["errorMessage"]
    assert "Runtime.InvalidEntrypoint" in answer.log


def test_an_image_for_the_other_architecture_runs_on_this_machines(images: Images) -> None:
    name = images.function(images.push(images.image(architecture=OTHER)), Architectures=[OTHER])
    assert images.functions.ask(name, 3).body == 3


def test_an_image_without_a_handler_fails_as_aws_base_image_does(images: Images) -> None:
    name = images.function(images.push(images.image(cmd=None)))
    answer = images.functions.ask(name)
    assert answer.body["errorType"] == "Runtime.ExitError"
    assert "exit status 142" in answer.body["errorMessage"]
    assert "entrypoint requires the handler name to be the first argument" in answer.log


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"cmd": ["nothing.go"]}, "Runtime.ImportModuleError", "No module named 'nothing'"),
        ({"cmd": ["app.missing"]}, "Runtime.HandlerNotFound", "'missing'"),
        ({"entrypoint": ("/nowhere",), "cmd": ()}, "Runtime.InvalidEntrypoint", "/nowhere: no such file"),
        ({"workdir": "/nowhere"}, "Runtime.InvalidWorkingDir", "chdir /nowhere: no such file"),
    ],
)
def test_a_broken_image_fails_with_lambdas_words(
    images: Images, options: dict[str, object], kind: str, words: str
) -> None:
    image = images.image()
    changed = {**vars(image), **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}}
    name = images.function(images.push(type(image)(**{k: v for k, v in changed.items() if k != "digest"})))
    answer = images.functions.ask(name)
    assert answer.body["errorType"] == kind, answer
    assert words in answer.body["errorMessage"]


def test_the_code_and_the_rest_of_the_image_cant_be_written(images: Images) -> None:
    code = (
        "import pathlib\ndef go(event, context):\n"
        "    root = pathlib.Path(__file__).parent\n    found = []\n"
        "    for where in (root, root.parent):\n        try:\n            (where / 'new').write_text('x')\n"
        "        except OSError as error:\n            found.append(error.errno)\n    return found\n"
    )
    name = images.function(images.push(images.image({"app.py": code})))
    assert images.functions.ask(name).body == [30, 30]


def _refused(images: Images, uri: str) -> str:
    with pytest.raises(ClientError) as caught:
        images.function(uri)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    return str(caught.value.response["Error"]["Message"])


def test_an_image_that_isnt_there_is_refused_in_lambdas_words(images: Images) -> None:
    _, repository = images.repository()
    uri = f"{images.host}/{repository}:nothing"
    assert _refused(images, uri) == f"Source image {uri} does not exist. Provide a valid source image."


@pytest.mark.parametrize("uri", ["no image", "docker.io/library/python:3.13", "127.0.0.1:1/eu-west-1/x:y"])
def test_what_is_no_image_in_ecr_is_refused_in_lambdas_words(images: Images, uri: str) -> None:
    assert _refused(images, uri) == f"Source image {uri} is not valid. Provide a valid source image."


def test_an_index_of_several_platforms_is_refused_as_on_lambda(images: Images) -> None:
    _, repository = images.repository()
    reference = images.image().push(images.registry, repository, "one").reference
    raw, kind = images.registry.manifest(repository, reference.partition("@")[2])
    entry = {"mediaType": kind, "digest": reference.partition("@")[2], "size": len(raw)}
    index = "application/vnd.oci.image.index.v1+json"
    content = json.dumps({"schemaVersion": 2, "mediaType": index, "manifests": [entry]}).encode()
    images.registry.put_manifest(repository, "all", content, index)
    assert "media type for the source image" in _refused(images, f"{images.host}/{repository}:all")


def test_a_function_whose_image_was_deleted_says_so(images: Images) -> None:
    name, repository = images.repository()
    image = images.image({"app.py": f"{GO}# of this test alone\n"})
    function = images.function(image.push(images.registry, repository, "v1").reference)
    images.ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    with pytest.raises(ClientError, match="ImageDeleted"):
        images.functions.ask(function)


def test_a_function_cant_turn_from_zip_to_image_or_back(images: Images) -> None:
    uri = images.push()
    with pytest.raises(ClientError, match="packageType Zip"):
        images.functions.api.update_function_code(FunctionName=images.functions.make(), ImageUri=uri)
    with pytest.raises(ClientError, match="packageType Image"):
        images.functions.change(images.function(uri), GO)


def test_layers_lie_on_top_of_each_other_and_whiteouts_delete(images: Images) -> None:
    _, repository = images.repository()
    listing = (
        b"import pathlib\ndef go(event, context):\n    root = pathlib.Path(__file__).parent\n"
        b"    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())\n"
    )
    lower = tar(
        [
            ("var/task/app.py", b"broken"),
            ("var/task/gone.txt", b"1"),
            ("var/task/whole/old.txt", b"1"),
            ("var/task/tree/a.txt", b"1"),
        ]
    )
    upper = tar(
        [
            ("var/task/app.py", listing),
            ("var/task/.wh.gone.txt", b""),
            ("var/task/whole/new.txt", b"2"),
            ("var/task/whole/.wh..wh..opq", b""),
            ("var/task/.wh.tree", b""),
        ]
    )
    uri = images.raw(
        repository, [lower, upper], Entrypoint=ENTRY, Cmd=["app.go"], WorkingDir="/var/task", Env=[]
    )
    name = images.function(uri)
    assert images.functions.ask(name).body == ["app.py", "whole/new.txt"]
