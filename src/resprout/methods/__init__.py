"""Ways to train tables within a budget, one file each."""
