"""Math answers: from a response's text to a final answer, to a small expression tree, to a comparison. All of it bounded."""
