"""The ways in which a message leaves: each sends one parcel, or says why it could not."""
