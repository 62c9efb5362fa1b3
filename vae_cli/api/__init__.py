"""What a notebook uses: a trained model as arrays in, arrays out, and what can be computed with it.

`vae_cli.load` and `vae_cli.train` return a `TrainedModel` (model.py): encode, decode, reconstruct,
sample, traverse, interpolate. arrays.py is the way between a user's arrays and what the network
takes, and frames.py gives a data frame back to who gave one. Whole data sets go through the model
in embeddings.py (`embed`), evaluation.py (`evaluate_model`) and scoring.py (`score_items`);
run_data.py opens the data of a run.

Every command is built on this package. It may import everything but `vae_cli.cli` and
`vae_cli.explore`, and never prints: what a person should read is a warning or an error.
"""
