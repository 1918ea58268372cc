"""Pictures to vectors: I-JEPA pretraining and frozen embeddings. Knows no database, no web page."""
