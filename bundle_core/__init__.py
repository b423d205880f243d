"""Turn trained models into portable numpy bundles and pickles for Numerai's container."""
