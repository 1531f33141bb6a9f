"""What the print leaves unclear, in sentences; none of it is a verdict."""

NOTES = (
    "σ is never defined. S0 fixes it up to a shift of its argument: σ(z) = 1/(1 + e^{-(z - c)}).",
    "σ^{-1}(a^l) is a name for the pre-activation. As the inverse of σ it would be false at a "
    "linear output, where a^N is the pre-activation itself; N1 is tried as a name.",
    "i numbers the entries of the training data, but in S0, ∂/∂x_i, it is an index of x.",
    "j is the output neuron, but in the derivation of S6 it is an index of summation.",
    "S6 is printed with a stray ∂ in a subscript.",
    "X in cost(X) is not defined.",
    "For no equation is the range of l printed. An index that runs past the net is UNDEFINED.",
    "Where a wrong equation happens to hold: a (1 - a) = 1 has no real root, so the missing or "
    "superfluous factor shows at every entry that is not 0. Weights that are 0 hide it in S1, S5 "
    "and S6, inputs that are 0 (with N = 2) in S2 and S4, nothing hides it in S3; N2 meets a "
    "linear output only at σ(z) = z, z = 0.65905.",
)
