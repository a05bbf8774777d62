"""The command line. Nothing heavy is imported until a command runs.

``__main__`` runs a command of ``app``; ``running`` has the options that commands share, and
``error_sentences`` and ``standard_output`` what they say. Where to look for a command:

- ``app``: those of the stages, ``promote``, ``rollback`` and ``doctor`` (its checks are a package)
- ``drafting``: ``init``; ``simulation``: ``simulate``; ``scoring``: ``score``
- ``ledger``: ``status``; ``pipeline_summary``: ``summary``; ``reviewing``: ``review``
- ``alerts``: ``notify`` and ``feedback``; ``exporting``: ``export``; ``retention``: ``prune``
- ``drifting``: ``drift`` and ``retrain``
"""
