"""What is on the screen: each widget draws what it is given, and asks nobody."""
