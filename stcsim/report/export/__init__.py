"""What commands write for other programs: JSON and CSV."""
