"""Read models: folds over the log that people look at. They decide nothing."""
