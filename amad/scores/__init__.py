"""Where scores, incidents and the logs of scoring jobs lie on disk, and how they are written."""
