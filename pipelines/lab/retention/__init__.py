"""How much of the way something is said arrives: the same words said differently, through every architecture."""
