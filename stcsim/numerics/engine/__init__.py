"""The arithmetic of one instruction: the readable reference and its fast twin."""
