"""Evidence as tables, one module for each kind of question."""
