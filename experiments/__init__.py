"""Sweeps over tinygpt's runs: proposed by Optuna, trained by workers, mirrored to W&B."""
