"""What inputs and answers are, as plain data: numpy only, so that it runs without torch."""
