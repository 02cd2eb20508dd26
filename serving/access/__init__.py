"""Who asks, and what they may: API keys, tokens, scopes, and where a service without keys may listen."""
