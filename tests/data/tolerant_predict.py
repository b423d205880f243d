"""A predict of one's own that takes whatever features there are."""

import numpy as np
import pandas as pd

SHIFT = np.array([0.25, 0.5])


def predict(live_features, live_benchmark_models):
    features = live_features.select_dtypes("number")
    score = features.to_numpy(np.float64).sum(axis=1) + SHIFT.sum()
    return pd.Series(score, index=live_features.index).rank(pct=True).to_frame("prediction")
