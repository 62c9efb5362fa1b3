"""The commands of `vae`, one module each. Each parses, calls the API, and prints."""
