"""The lake and what is known of it: its profile, its schemas, what is missing or was refused."""
