"""The paper: its printed equations, what it leaves unprinted, and gradients made of them."""
