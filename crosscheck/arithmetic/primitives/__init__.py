"""The operations that programs are made of, a row each: all that anybody asks of it."""
