"""How good outputs and attentions are: text scores, significance, alignment error. Knows no model and imports
no torch.
"""
