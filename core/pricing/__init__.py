"""What a request cost, and why: price versions, model matching, exact integer pricing, explanations."""
