"""From residuals to alarms: the detector, and the one definition of an alarm.

Where to look for what:

- a method: ``scorer`` (what every method does), ``member_scorer`` and ``detector`` (one with
  members), ``forms`` (with the network and without it)
- members: ``members`` (a package; ``residual_cache`` saves predicting rows twice)
- the score: ``chain`` (residuals to evidence), ``combine`` (evidence of all members to one score)
  with ``predictability``, ``contributions`` (of each channel), ``event_channels``; the rows around
  a row are in ``layout`` and ``sliding``
- fitting: ``fitting`` (any method, vehicle by vehicle), ``detector_fitting``, ``learnt_figures``
  (what is learnt), ``priors`` (for short histories), ``constant_channels`` and ``pauses``
- the threshold: ``alarms`` (its choice, and which alarms are one incident), ``moving_threshold``
- what later days of a scoring job need: ``day_state``; a long series, judged like its days:
  ``long_series``
- files: ``detector_folder`` with ``figure_file`` and ``array_file``
"""
