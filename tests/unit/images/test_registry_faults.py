"""A registry that breaks, lies, or wants to know who we are."""

from __future__ import annotations

import base64
import json
import random
import socket

import pytest

from clouddeploy.errors import CloudError, CredentialsError, NotFound, SpecError, Throttled
from clouddeploy.packaging.images import Base, Registry, ecr_credentials
from clouddeploy.packaging.images.auth import challenges
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.http import Broken
from clouddeploy.testing.registry import Break, FakeRegistry
from tests.unit.images.making import FAST, image_on, put_index, reach

NOISE = Blob.of_bytes(random.Random(3).randbytes(1_000_003))
CHUNK = 300_000
STEPS = [
    ("GET", "/manifests/v1"),
    ("HEAD", "/blobs/"),
    ("POST", "/uploads/"),
    ("PUT", "/uploads/"),
    ("PUT", "/manifests/"),
]


def send(host: str, **options) -> bool:
    return reach(host, **options).put_blob("digits", NOISE)


@pytest.mark.parametrize("how", ["500", "429", "reset", "lost", "cut"])
@pytest.mark.parametrize(("method", "path"), STEPS)
def test_a_push_survives_a_passing_fault_at_each_step(fake, method, path, how):
    image = image_on(reach(fake.host))
    for after in (0, 1):
        fake.breaks = [Break(method, path, how, times=2, after=after)]
        pushed = image.push(reach(fake.host), f"digits-{after}", "v1")
        assert fake.manifests[f"digits-{after}", "v1"] == fake.manifests[f"digits-{after}", pushed.digest]


@pytest.mark.parametrize("how", ["500", "429", "reset", "cut"])
@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
def test_reading_the_base_survives_a_passing_fault(fake, path, how, tmp_path):
    wanted = image_on(reach(fake.host)).base.digest
    fake.breaks = [Break("GET", path, how, times=2)]
    image = image_on(reach(fake.host))
    assert image.base.digest == wanted
    fake.breaks = [Break("GET", path, how, times=2)]
    image.write(tmp_path / "image")


@pytest.mark.parametrize(("how", "error"), [("500", Broken), ("429", Throttled), ("reset", Broken)])
@pytest.mark.parametrize(("method", "path"), STEPS)
def test_a_lasting_fault_ends_soon_and_a_second_push_sends_only_the_rest(fake, method, path, how, error):
    image = image_on(reach(fake.host))
    fake.breaks = [Break(method, path, how, times=99)]
    with pytest.raises(error):
        image.push(reach(fake.host), "digits", "v1")
    assert ("digits", "v1") not in fake.manifests, "the tag comes last"
    fake.breaks = []
    held = sum(len(content) for (name, _), content in fake.blobs.items() if name == "digits")
    pushed = image.push(reach(fake.host), "digits", "v1")
    total = sum(len(content) for (name, _), content in fake.blobs.items() if name == "digits")
    mounted = sum(layer.size for layer in image.base.layers)
    assert pushed.sent_bytes == total - max(held, mounted)


def test_a_broken_part_is_gone_on_with_where_it_broke(fake):
    fake.breaks = [Break("PATCH", "/uploads/", "cut", after=1), Break("PATCH", "/uploads/", "reset", after=1)]
    assert send(fake.host, chunk_bytes=CHUNK)
    assert fake.blobs["digits", NOISE.digest] == NOISE.source
    assert fake.count("POST", "/uploads/") == 1, "one upload carried it all"
    parts = sum(one.length for one in fake.seen if one.method == "PATCH")
    assert parts < NOISE.size + 2 * CHUNK
    assert not fake.uploads


def test_a_part_whose_answer_is_lost_is_not_sent_twice(fake):
    fake.breaks = [Break("PATCH", "/uploads/", "lost", after=1)]
    assert send(fake.host, chunk_bytes=CHUNK)
    assert sum(one.length for one in fake.seen if one.method == "PATCH") == NOISE.size


@pytest.mark.parametrize("parts", ["first-only", "none"])
def test_a_registry_that_does_not_keep_parts_gets_the_blob_whole(parts):
    with FakeRegistry(parts=parts) as fake:
        client = reach(fake.host, chunk_bytes=CHUNK)
        assert client.put_blob("digits", NOISE)
        assert fake.blobs["digits", NOISE.digest] == NOISE.source
        before = fake.count("PATCH")
        client.put_blob("other", NOISE)
        assert fake.count("PATCH") == before, "it is not tried again"
        assert not fake.uploads


def test_amazon_and_google_never_get_parts_by_default():
    # what decides is the host; see WHOLE_ONLY for the sources
    hosts = ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "europe-docker.pkg.dev", "eu.gcr.io"]
    assert {Registry(host).chunk_bytes for host in hosts} == {None}
    assert Registry("registry.example.com").chunk_bytes


def test_an_upload_that_fails_for_good_is_taken_away(fake):
    fake.breaks = [Break("PATCH", "/uploads/", "500", times=99, after=1)]
    with pytest.raises(Broken):
        send(fake.host, chunk_bytes=CHUNK)
    assert not fake.uploads


def test_a_registry_without_mounts_gets_the_bases_layers(fake):
    fake.mounts = False
    image = image_on(reach(fake.host))
    pushed = image.push(reach(fake.host), "digits", "v1")
    assert pushed.sent_bytes > sum(layer.size for layer in image.base.layers)
    assert not fake.uploads


@pytest.mark.parametrize("path", ["/manifests/sha256", "/blobs/"])
def test_other_bytes_than_the_digest_names_are_refused(fake, path, tmp_path):
    image = image_on(reach(fake.host))
    fake.breaks = [Break("GET", path, "corrupt", times=99)]
    with pytest.raises(CloudError, match=r"can't be used\n  why: what came is sha256:"):
        image_on(reach(fake.host))
    if path == "/blobs/":
        with pytest.raises(CloudError, match="what came is sha256:"):
            image.write(tmp_path / "image")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_repository_is_told_with_the_command_on_ecr():
    from clouddeploy.packaging.images.reference import ECR
    from clouddeploy.packaging.images.refusal import no_repository

    with FakeRegistry(repositories={"lambda/python"}) as fake:
        put_index(reach(fake.host), "lambda/python", "3.13")
        with pytest.raises(CloudError, match=r"has no repository 'digits'\n.*does not exist") as caught:
            image_on(reach(fake.host)).push(reach(fake.host), "digits", "v1")
        assert caught.value.code == "NAME_UNKNOWN"
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    fix = no_repository(host, "digits", "", ECR.match(host)).fix
    assert fix == "create it: aws ecr create-repository --repository-name digits --region eu-west-1"


def test_nobody_listening_is_told_with_the_address():
    with FakeRegistry() as gone:
        host = gone.host
    with pytest.raises(Broken, match=rf"{host}/v2/digits.*got no answer\n.*refused"):
        send(host)


def test_a_registry_that_stays_silent_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Broken, match="got no answer\n  why: TimeoutError"):
            send(host, timeout_s=0.05)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_login_is_made_once_for_each_scope_and_kept(fake, auth):
    fake.auth = auth
    asked = []

    def credentials(host):
        asked.append(host)
        return "user", "secret"

    client = reach(fake.host, credentials=credentials)
    image_on(client).push(client, "digits", "v1")
    assert set(asked) == {fake.host}
    assert len(asked) == (1 if auth == "basic" else 4), "pull the base; pull, push, and mount into ours"
    sent = {one.authorization.partition(" ")[0] for one in fake.seen if one.path != "/token"}
    assert sent == {"", auth.title()}


def test_a_token_that_expired_is_asked_for_again(fake):
    fake.auth = "bearer"
    client = reach(fake.host, credentials=lambda host: ("user", "secret"))
    base = image_on(client).base
    fake.tokens.clear()
    assert image_on(client).base.digest == base.digest


def test_a_token_that_expires_between_two_layers_is_asked_for_again(fake, tmp_path):
    fake.auth = "bearer"
    client = reach(fake.host, credentials=lambda host: ("user", "secret"))
    image = image_on(client)

    def forget(done, total):
        fake.tokens.clear()

    image.write(tmp_path / "image", report=forget)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("pair", [None, ("user", "wrong"), ("nobody", "")])
def test_wrong_or_no_credentials_are_told_at_once_without_the_secret(fake, auth, pair):
    fake.auth = auth
    with pytest.raises(CredentialsError, match="refuses access") as caught:
        image_on(reach(fake.host, credentials=lambda host: pair))
    assert "wrong" not in str(caught.value)
    assert len(fake.seen) <= 3


def test_the_login_does_not_follow_a_redirect_to_another_server(fake, tmp_path):
    with FakeRegistry() as store:
        store.blobs = fake.blobs
        fake.auth = "basic"
        client = reach(fake.host, credentials=lambda host: ("user", "secret"))
        fake.breaks = [Break("GET", "/blobs/", "redirect", times=99, target=f"http://{store.host}")]
        image_on(client).write(tmp_path / "image")
        assert store.count("GET", "/blobs/") == 3
        assert {one.authorization for one in store.seen} == {""}


@pytest.mark.parametrize("target", ["file:///etc", "ftp://here"])
def test_a_redirect_to_something_else_than_http_is_refused(fake, target):
    fake.breaks = [Break("GET", "/manifests/", "redirect", times=99, target=target)]
    with pytest.raises(CloudError, match="points to"):
        image_on(reach(fake.host))


def test_a_redirect_in_circles_ends(fake):
    fake.breaks = [Break("GET", "/manifests/", "redirect", times=99, target=f"http://{fake.host}")]
    with pytest.raises(CloudError, match="redirected more than 5 times"):
        image_on(reach(fake.host))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"schemaVersion":1,"fsLayers":[]}',
        b'{"schemaVersion":2,"layers":{}}',
        b'{"schemaVersion":2,"layers":[{"digest":"sha256:../../x","size":1,"mediaType":"a"}]}',
        b'{"schemaVersion":2,"layers":[{"digest":"sha512:00","size":1,"mediaType":"a"}]}',
        b'{"schemaVersion":2,"layers":[],"config":{"digest":"sha256:' + b"0" * 64 + b'","size":-1}}',
        b'{"schemaVersion":2,"layers":[],"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",'
        b'"digest":"sha256:' + b"0" * 64 + b'","size":1}}',
        b"[" * 100_000,
        b"{" + b" " * (5 << 20) + b"}",
    ],
    ids=range(11),
)
def test_manifests_that_are_none_are_refused(fake, body):
    fake.manifests["lambda/python", "bad"] = (body, "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(CloudError):
        image_on(reach(fake.host), tag="bad")


def test_an_index_whose_manifest_is_missing_is_told(fake):
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": "sha256:" + "0" * 64,
                    "size": 3,
                    "platform": {"os": "linux", "architecture": "arm64"},
                }
            ],
        }
    ).encode()
    fake.manifests["lambda/python", "bad"] = (raw, "application/vnd.oci.image.index.v1+json")
    with pytest.raises(NotFound):
        image_on(reach(fake.host), tag="bad")


def test_ecr_is_logged_in_to_by_the_call_and_others_are_not():
    calls = []

    def aws(service, operation, /, **params):
        calls.append((service, operation))
        token = base64.b64encode(b"AWS:token").decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "https://x"}]}

    credentials = ecr_credentials(aws, hosts=("127.0.0.1:4510",))
    assert credentials("123456789012.dkr.ecr.eu-west-1.amazonaws.com") == ("AWS", "token")
    assert credentials("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn") == ("AWS", "token")
    assert credentials("127.0.0.1:4510") == ("AWS", "token")
    assert credentials("public.ecr.aws") is None
    for other in ("123456789012.dkr.ecr.eu-west-1.evil.example", "x.dkr.ecr.eu-west-1.amazonaws.com"):
        assert credentials(other) is None
    assert calls == [("ecr", "GetAuthorizationToken")] * 3


@pytest.mark.parametrize(
    "answer", [{}, {"authorizationData": []}, {"authorizationData": [{"authorizationToken": "%"}]}]
)
def test_an_ecr_answer_without_a_token_is_told(answer):
    with pytest.raises(CloudError, match="without a usable token"):
        ecr_credentials(lambda *_, **__: answer)("123456789012.dkr.ecr.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('Basic realm="a, b"', {"basic": {"realm": "a, b"}}),
        (
            'Bearer realm="https://a/t?x=1",service="s",scope="repository:a:pull,push repository:b:pull"',
            {
                "bearer": {
                    "realm": "https://a/t?x=1",
                    "service": "s",
                    "scope": "repository:a:pull,push repository:b:pull",
                }
            },
        ),
        ('Bearer realm=x, Basic realm="y"', {"bearer": {"realm": "x"}, "basic": {"realm": "y"}}),
        ("Negotiate", {"negotiate": {}}),
        ('BEARER Realm="a\\"b"', {"bearer": {"realm": 'a"b'}}),
        ("", {}),
    ],
)
def test_challenges_are_read_as_the_standard_has_them(header, wanted):
    assert challenges([header]) == wanted


@pytest.mark.parametrize(
    ("text", "host", "repository", "wanted"),
    [
        ("public.ecr.aws/lambda/python:3.13", "public.ecr.aws", "lambda/python", "3.13"),
        ("python:3.13-slim", "docker.io", "library/python", "3.13-slim"),
        ("tensorflow/serving", "docker.io", "tensorflow/serving", "latest"),
        ("localhost/a", "localhost", "a", "latest"),
        ("here:5000/a/b@sha256:" + "a" * 64, "here:5000", "a/b", "sha256:" + "a" * 64),
        ("here.io/a:1@sha256:" + "a" * 64, "here.io", "a", "sha256:" + "a" * 64),
    ],
)
def test_names_are_read_as_docker_reads_them(text, host, repository, wanted):
    from clouddeploy.packaging.images import Reference

    found = Reference.parse(text)
    assert (found.host, found.repository, found.wanted) == (host, repository, wanted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER/case",
        "a:b:c",
        "a@sha256:12",
        "a@md5:1",
        "here.io/",
        "http://here.io/a",
        "a b",
        "here.io/a/../b",
        "a\n",
    ],
)
def test_names_that_are_none_are_refused(text):
    with pytest.raises(SpecError, match="is no name of an image"):
        Base.resolve(text, architecture="arm64")


def test_a_registry_that_asks_for_patience_gets_at_most_the_limit(fake):
    from dataclasses import replace

    waited: list[float] = []
    fake.breaks = [Break("HEAD", "/blobs/", "429", times=2)]
    send(fake.host, retries=replace(FAST, most_delay_s=3, pause=waited.append))
    assert waited == [3, 3]
