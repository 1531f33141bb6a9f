"""How many mistakes in derivative rules gradcheck() sees, beside the checkers in use."""
