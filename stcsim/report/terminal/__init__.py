"""What commands print: tables and panels."""
