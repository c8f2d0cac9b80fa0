"""What is known: the watches of kopf, the picture that they give, and the sweeps that find what they missed."""
