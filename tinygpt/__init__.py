"""A small character-level GPT and a trainer that resumes bit for bit."""
