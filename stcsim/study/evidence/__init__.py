"""Evidence that a reader can run: what the model's claims rest on, one module a question (``stcsim evidence`` lists them)."""
