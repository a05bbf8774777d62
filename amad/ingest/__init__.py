"""Raw files into the lake: found, read, merged per vehicle-day; nothing is dropped silently."""
