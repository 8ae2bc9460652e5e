"""Public tables of measured GEMM times: where they are, how they are fetched and checked, and how they become stcsim's columns.

``sources`` lists them, ``pull`` fetches one with ``fetch`` (git), reads it with its converter, and hands it to ``cache``.
"""
