"""What one H100 measured and computed on 2026-11-27: see README.md."""
