"""SteadyNet: networks that hold their accuracy on noisy non-volatile memory."""
