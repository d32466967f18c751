"""What the commands read: lines of text, image paths."""
