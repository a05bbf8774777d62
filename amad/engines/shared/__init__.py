"""What several stages share: MLflow, its store and registry, Ray, the environment.

Where to look for what:

- MLflow: ``tracking_store`` (where it is), ``tracking`` (a client and runs), ``model_registry``,
  ``lost_registry``; what runs hold: ``training_curve``, ``evaluation_run``, ``datasets``
- Ray: ``ray_cluster``, ``unit_engines`` (units of work, here or there), ``drivers_disk`` and
  ``store_on_nodes`` (files for nodes that do not mount the driver's disk), ``ray_checkpoint``
- ``identity`` (the name under which work is resumed), ``train_result``, ``environment``
"""
