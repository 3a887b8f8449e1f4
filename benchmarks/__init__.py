"""Speed and memory against peers, each figure after its correctness check."""
