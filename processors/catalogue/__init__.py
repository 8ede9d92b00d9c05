"""The catalogue: parsed and validated (document.py, where people's mistakes come in), compiled to rules (rules.py)."""
