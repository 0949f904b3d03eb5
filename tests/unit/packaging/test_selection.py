from __future__ import annotations

import pytest

from clouddeploy.packaging import Member
from clouddeploy.packaging.selection import left_out, suspicions

# Assembled here, so that no scanner of this repository takes them for real.
SECRETS = {
    "an AWS access key id": "AKIA" + "IOSFODNN7EXAMPLE",
    "an AWS secret access key": "aws_secret_access_key = " + "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a GitHub token": "ghp_" + "a1" * 18,
    "a GitLab token": "glpat-" + "a1" * 10,
    "a Hugging Face token": "hf_" + "aB" * 17,
    "an API key": "sk-" + "a1" * 20,
    "a Stripe key": "sk_live_" + "a1" * 12,
    "a Slack token": "xoxb-" + "1234567890-abcdef",
    "a Google API key": "AIza" + "a1B" * 11 + "aa",
    "a Google service account's key": '{"type": "service_' + 'account"}',
    "an npm token": "npm_" + "a1" * 18,
}


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_a_secret_in_a_text_is_told_by_line_and_kind_and_never_shown(kind, secret):
    member = Member.of_bytes("code/app/net.py", f"# -*-\n\nTOKEN = '{secret}'\n".encode())
    (told,) = suspicions(member)
    assert told == f"code/app/net.py:3: looks like {kind}"
    assert secret not in told


@pytest.mark.parametrize(
    "name",
    ["server.pem", "a/ID_RSA", "id_ed25519", "tls.key", "credentials", "client_secret_1.json", ".netrc"],
)
def test_a_name_that_secrets_have_is_told(name):
    (told,) = suspicions(Member.of_bytes(name, b"nothing"))
    assert told.startswith(f"{name}: looks like ")


@pytest.mark.parametrize(
    "text",
    [
        "import os\nkey = os.environ['AWS_SECRET_ACCESS_KEY']\n",
        "task-based-flask-like-words-of-some-length",
        "AKIA",
        "sk_learn",
    ],
)
def test_innocent_text_is_not_suspected(text):
    assert suspicions(Member.of_bytes("code/app/net.py", text.encode())) == []


def test_binary_files_are_not_searched_and_a_file_full_of_secrets_is_told_five_times():
    secret = SECRETS["an AWS access key id"].encode()
    assert suspicions(Member.of_bytes("w.bin", b"\0" + secret)) == []
    assert len(suspicions(Member.of_bytes("w.txt", (secret + b"\n") * 100))) == 5


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (".env", "environment file"),
        ("deep/.env.production", "environment file"),
        (".git/config", "version control"),
        ("a/__pycache__/b.pyc", "cache"),
        (".venv/lib/x.py", "virtual environment"),
        ("nb/.ipynb_checkpoints/x.ipynb", "notebook checkpoint"),
        (".aws/credentials", "credentials"),
    ],
)
def test_what_never_belongs_to_a_model_is_left_out(name, kind):
    assert left_out(name) == kind


@pytest.mark.parametrize(
    "name", ["handler.py", "environment.py", "data/git.txt", "venv_model.bin", "cache.npy", "a.env"]
)
def test_what_only_resembles_it_is_kept(name):
    assert left_out(name) == ""
