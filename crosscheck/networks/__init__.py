"""Networks of the paper's kind: architectures, cases, and how they are drawn."""
