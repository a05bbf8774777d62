"""Tell people what changed: from published incidents to messages that are sent once.

Where to look for what:

- the run: ``delivery`` (every sink, one after the other), ``ledger`` (what each was told, and the
  messages that are on their way)
- what is told: ``published`` (the incidents of the newest dates), ``changes`` (what a sink does not
  know yet), ``grouping`` (what is read as one), ``health_notices`` (what the fleet lacks)
- what is not told: ``suppressed`` (rules and verdicts), ``learnt`` (from verdicts)
- words: ``wording``
- where to: ``sinks`` (a package: one module per way out), ``named_sinks`` (those that the fleet's
  file names), ``metrics`` (figures for Prometheus)
"""
