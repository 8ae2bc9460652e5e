"""What a person reads or saves: tables, the summary, JSON and CSV. Results come in, nothing is computed here."""
