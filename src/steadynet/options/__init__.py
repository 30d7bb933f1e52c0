"""What a training is told, as plain options, and what they name."""
