"""Messages in, messages out: channels, conversations, the outbox."""
