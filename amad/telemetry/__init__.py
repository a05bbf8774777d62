"""From raw files to the lake and its profile: source, readers, ingest, lake, profile, simulator."""
