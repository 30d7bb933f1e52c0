"""What befalls devices after they were programmed; a file each."""
