"""What the commands read: lines of text and paths of images."""
