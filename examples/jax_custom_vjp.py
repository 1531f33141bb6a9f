"""A stable log(1 + eˣ) with a rule of its own: right, in float32.

Prints:

softplus: 2 CONSISTENT, 0 SUSPECT, 0 DEFECT, 0 INCONCLUSIVE of 2 arrays
"""

import jax
import jax.numpy as jnp

import crosscheck


@jax.custom_vjp
def softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


softplus.defvjp(lambda x: (softplus(x), x), lambda x, c: (c * jax.nn.sigmoid(x),))

x = jnp.array([-3.0, -0.5, 0.25, 2.0])
print(crosscheck.gradcheck(softplus, x, modes="reverse"))
