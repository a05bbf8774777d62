"""Where the truth of a fleet lies if not on this disk: an object store, with the disk as scratch.

Example::

    with step(stage, "score"):
        ...  # works on files below data/<fleet> and runs/<fleet>, as without a storage

    <storage>/<fleet>/roots/<number>.json     what counts: the hash of every artifact
    <storage>/<fleet>/leases/<number>.json    who may write
    <storage>/<fleet>/manifests/<artifact>-<hash>.json    the files of a folder
    <storage>/<fleet>/data/..., runs/...      the files, their hash in their name

Files are written before the manifest that names them, manifests before the root, and no object is
ever written over. So the root that is there names what is there, whatever was killed when.
"""

from amad.storage.steps import edit, look, put_finished, state, step

__all__ = ["edit", "look", "put_finished", "state", "step"]
