"""What a network does with all images, how fast, and after how much pruning."""
