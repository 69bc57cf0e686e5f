"""How good: error measures, tables and figures as the papers have them, and the papers' own numbers."""
