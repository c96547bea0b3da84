"""The configuration: typed models of every key, their checks, and what follows from them."""
