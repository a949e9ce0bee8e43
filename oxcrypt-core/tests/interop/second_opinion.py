"""What pycryptomator sees in a vault: VAULT PASSPHRASE, answered in the words of the manifests in tests/fixtures."""

import contextlib
import hashlib
import io
import json
import sys

from pycryptomator import Vault


def below(vault, directory):
    for root, directories, files in vault.walk(directory):
        for name in directories:
            yield {"path": path(root, name), "type": "dir"}
        for name in files:
            yield leaf(vault, path(root, name))


def path(root, name):
    return root.rstrip("/") + "/" + name


def leaf(vault, path):
    info = vault.getInfo(path)
    if info.hasSym:
        return {"path": path, "type": "symlink", "target": vault.resolveSymlink(path, info.hasSym)[1]}
    content = io.BytesIO()
    # Its own way to ask for this closes what it writes to.
    with open(info.contentsC9, "rb") as stored:
        Vault._decryptf(vault.pk, stored, content)
    content = content.getvalue()
    return {"path": path, "type": "file", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


# It prints what it does not like, and goes on.
complaints = io.StringIO()
with contextlib.redirect_stdout(complaints):
    entries = [{"path": "/", "type": "dir"}, *below(Vault(sys.argv[1], sys.argv[2]), "/")]
if complaints.getvalue():
    sys.exit(complaints.getvalue())
json.dump(entries, sys.stdout)
