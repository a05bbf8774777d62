"""Tell people what changed: from published incidents to messages that are sent once."""
