"""From the official download of a published data set to the native folder layout (docs/datasets.md)."""
