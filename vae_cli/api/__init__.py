"""What a notebook uses: load or train a model, and work with it as arrays."""
