"""The main flow of a deployment, by whichever huggingface_hub is installed here.

Arguments: endpoint and a folder for downloads; the token is in HF_TOKEN. Prints what came of it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

endpoint, folder = sys.argv[1], Path(sys.argv[2])
api = HfApi(endpoint=endpoint, token=os.environ["HF_TOKEN"])
name = api.whoami()["name"]
repo, space = f"{name}/old", {"repo_type": "space"}
url = api.create_repo(
    repo,
    **space,
    space_sdk="docker",
    private=True,
    space_secrets=[{"key": "S", "value": "hidden"}],
    space_variables=[{"key": "V", "value": "1"}],
)
api.create_repo(repo, **space, space_sdk="docker", exist_ok=True)
card = b"---\nsdk: docker\n---\n"
first = api.create_commit(
    repo,
    [CommitOperationAdd("README.md", card), CommitOperationAdd("gone", b"x")],
    commit_message="first",
    **space,
)
second = api.create_commit(
    repo,
    [CommitOperationAdd("a/b", b"text"), CommitOperationDelete("gone")],
    commit_message="second",
    parent_commit=first.oid,
    **space,
)
source = folder / "source"
(source / "sub").mkdir(parents=True)
(source / "sub" / "file").write_text("uploaded")
(source / "Dockerfile").write_text("FROM x\n")
api.upload_folder(repo_id=repo, folder_path=source, **space)
api.create_tag(repo, tag="v1", **space)
api.add_space_variable(repo, "W", "2")
api.delete_space_variable(repo, "V")
api.add_space_secret(repo, "T", "hidden")
api.delete_space_secret(repo, "T")
info = api.space_info(repo)
variables = {key: v.value for key, v in api.get_space_variables(repo).items()}
stage = api.get_space_runtime(repo).stage
api.restart_space(repo)
api.pause_space(repo)
api.request_space_hardware(repo, "cpu-upgrade")
got = Path(api.snapshot_download(repo, **space, local_dir=folder / "got"))
files = {
    p.relative_to(got).as_posix() for p in got.rglob("*") if p.is_file() and ".cache" not in p.parts
}
missing = None
try:
    api.space_info(f"{name}/none")
except huggingface_hub.utils.RepositoryNotFoundError as error:
    missing = type(error).__name__
api.delete_repo(repo, **space)
print(
    json.dumps(
        {
            "version": huggingface_hub.__version__,
            "url": str(url),
            "sha": info.sha,
            "private": info.private,
            "siblings": sorted(s.rfilename for s in info.siblings),
            "variables": variables,
            "stage": str(stage),
            "files": sorted(files),
            "missing": missing,
            "gone": not api.repo_exists(repo, **space),
        }
    )
)
