"""What is asked: read, checked and bounded before anything is reserved."""
