"""Mistakes of structure: an equation of the table is another one than it should be."""

from typing import Any

from crosscheck.arithmetic.activations import ACTIVATIONS, positive
from crosscheck.bounds import error_array
from crosscheck.faults.catalogue import right
from crosscheck.faults.catalogue.fault import Fault, Needs, Parameters, Setting, Tensors
from crosscheck.faults.catalogue.places import (
    EVERYWHERE,
    HIDDEN,
    ONCE,
    composed,
    misprint,
    replaced,
)
from crosscheck.faults.catalogue.right import derivative, equation

GITHUB = "https://github.com/"


def _with_slope(identity: str, slope: Any, sentence: str, **more: Any) -> Fault:
    """A fault in σ′: δ = ∂cost/∂a · slope(name of σ, symbols), where the layer has a σ."""

    def compute(setting: Setting, parameters: Parameters) -> Tensors:
        hidden, output = setting.architecture.hidden, setting.architecture.output

        def wrong(
            l: int, network: Any, a: Any, a_previous: Any, w: Any, b: Any, pulled_back: Any
        ) -> Any:
            name = output if l == network.layers else hidden
            if name == "identity":
                return pulled_back
            z = preactivation(w, a_previous, b)
            return pulled_back * slope(name, a, z, setting.table, w, b)

        return composed(setting, replaced(setting, "G2", wrong, parameters["place"]))

    places = more.pop("places", EVERYWHERE)
    variants = tuple({"place": place} for place in places)
    return Fault(identity, "structure", sentence, compute, variants=variants, **more)


def _of_activation(name: str, a: Any, z: Any, table: Any, w: Any, b: Any) -> Any:
    """σ′ taken at a, as if a were the pre-activation: σ(a) (1 - σ(a))."""
    return derivative(name)(_sigma(name, a))


def _sigma(name: str, x: Any) -> Any:
    """σ by its name, on whatever x is."""
    return (error_array.activation if hasattr(x, "rules") else right.plain)(name)(x)


def _slope_of_other(name: str, a: Any, *_: Any) -> Any:
    """The derivative of another common activation."""
    return derivative(ACTIVATIONS[name].mistaken_for)(a)


def _linear_output_as_sigmoid(pulled_back: Any, a: Any) -> Any:
    return pulled_back * a * (1 - a)


def _updated(rate: float) -> Any:
    """G4 through weights that the update has already changed: w - rate ∂cost/∂w."""

    def pull_back(delta_next: Any, w_next: Any, a: Any) -> Any:
        return delta_next @ (w_next - (a.T @ delta_next) * rate).T

    return pull_back


def _overwritten(setting: Setting, parameters: Parameters) -> Tensors:
    """δ = σ′ where δ = ∂cost/∂a · σ′ was meant: an assignment in the place of a product."""
    slope = derivative(setting.architecture.hidden)

    def delta(pulled_back: Any, a: Any) -> Any:
        return pulled_back * 0 + slope(a)

    return composed(setting, replaced(setting, "G2", delta, parameters["place"]))


STEPS = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.01, 0.001)
"""Steps with which weights are updated too early."""

STEPS_SEEN = (1.0, 0.1)
"""The steps in the places where it was seen: data-science-from-scratch subtracts δ a itself, and
basic_neural_network's learningRate is 0.1. The others show how small a step is still seen."""


def _updated_weights(setting: Setting, parameters: Parameters) -> Tensors:
    return composed(setting, replaced(setting, "G4", _updated(parameters["rate"])))


def _printed(setting: Setting, _: Parameters) -> Tensors:
    """S1 to S3 at the output, S5 at l + 1 = N: what the printed text adds up to."""
    linear = setting.architecture.output == "identity"
    last = setting.architecture.layers

    def delta(pulled_back: Any) -> Any:
        return pulled_back

    def bias(l: int, delta: Any, delta_next: Any, network: Any, activations: Any, a: Any) -> Any:
        if l != last - 1:
            return delta.sum(0)
        out = activations[-1]
        through = (delta_next * out * (1 - out)) @ network.weights[-1].T
        return (through * a * (1 - a)).sum(0)

    edits = replaced(setting, "G6", bias, "at the last hidden layer")
    if not linear:
        edits |= replaced(setting, "G2", delta, "at the output")
    return composed(setting, edits)


def preactivation(w: Any, a_previous: Any, b: Any) -> Any:
    """z, which the table's own N1 gives too; here it stands in other places."""
    return a_previous @ w + b


def _no_activation(setting: Setting, parameters: Parameters) -> Tensors:
    """The hidden layers' σ forgotten in the forward pass, though not in the derivative."""
    return composed(setting, {"N2": equation("N2", preactivation)})


def _no_forward_bias(setting: Setting, parameters: Parameters) -> Tensors:
    hidden, output = setting.architecture.hidden, setting.architecture.output

    def without(name: str) -> Any:
        def activation(w: Any, a_previous: Any) -> Any:
            return _sigma(name, a_previous @ w)

        return activation

    edits = {"N2": without(hidden), "N2 output": without(output)}
    return composed(setting, {key: equation(key, wrong) for key, wrong in edits.items()})


FAULTS: tuple[Fault, ...] = (
    misprint(
        "slope-missing",
        "G2",
        lambda pulled_back: pulled_back,
        "σ′ is missing {place}",
        seen=(
            GITHUB + "Bot-Academy/NeuralNetworkFromScratch/pull/3",
            GITHUB + "louisjc/mnist-neural-network/issues/1",
        ),
    ),
    _with_slope(
        "slope-of-activation",
        _of_activation,
        "σ′ is taken of the activation a instead of the pre-activation z {place}",
        seen=(
            GITHUB + "davidrmiller/neural2d/issues/40",
            GITHUB + "benoitfragit/libBrain/issues/78",
            GITHUB + "rasmusbergpalm/DeepLearnToolbox/issues/165",
            GITHUB + "deeplearning4j/deeplearning4j/pull/364",
        ),
    ),
    _with_slope(
        "slope-formula-at-z",
        lambda name, a, z, *_: derivative(name)(z),
        "the formula of σ′ that wants the activation is given the pre-activation: z(1 - z) {place}",
        seen=(
            GITHUB + "BoltzmannEntropy/interviews.ai/issues/4",
            GITHUB + "lazyprogrammer/facial-expression-recognition/issues/2",
        ),
    ),
    _with_slope(
        "slope-twice",
        lambda name, a, *_: derivative(name)(a) * derivative(name)(a),
        "σ′ is multiplied in twice {place}",
        seen=(GITHUB + "liashchynskyi/skynet/pull/1",),
    ),
    _with_slope(
        "slope-plus",
        lambda name, a, *_: a * (1 + a) if name == "sigmoid" else 1 + a * a,
        "σ′ has the wrong sign inside: a(1 + a) instead of a(1 - a) {place}",
        seen=(
            GITHUB + "nicodjimenez/lstm/issues/41",
            GITHUB + "Yiming-Wange/cs231n-solution/issues/1",
        ),
    ),
    _with_slope(
        "slope-is-activation",
        lambda name, a, *_: a,
        "the activation itself stands in the place of its derivative {place}",
        seen=(
            GITHUB + "NVlabs/tiny-cuda-nn/issues/465",
            GITHUB + "andersbll/nnet/issues/4",
        ),
    ),
    _with_slope(
        "slope-complement",
        lambda name, a, *_: 1 - a,
        "σ′ has lost its factor a: 1 - a instead of a(1 - a) {place}",
    ),
    _with_slope(
        "slope-of-other",
        _slope_of_other,
        "σ′ is another activation's (tanh's for a sigmoid, sigmoid's for others) {place}",
        seen=(GITHUB + "Kulbear/deep-learning-coursera/pull/20",),
    ),
    _with_slope(
        "slope-of-relu",
        lambda name, a, z, *_: positive(z),
        "σ′ is relu's derivative {place}",
        seen=(GITHUB + "jeffheaton/encog-dotnet-core/issues/124",),
    ),
    _with_slope(
        "slope-nested",
        lambda name, a, *_: _sigma(name, 1 - a),
        "σ′ is written as σ(1 - σ(z)) {place}",
        seen=(GITHUB + "yizt/numpy_neural_network/issues/3",),
        places=("at every layer", "at the output", "at every layer but the last"),
    ),
    misprint(
        "slope-of-residual",
        "G2",
        lambda pulled_back: pulled_back * (1 - pulled_back),
        "σ′ is formed from the error instead of the activation: e(1 - e) {place}",
        seen=("https://datascience.stackexchange.com/questions/20139",),
        places=("at the output",),
    ),
    misprint(
        "slope-of-linear-output",
        "G2",
        _linear_output_as_sigmoid,
        "a linear output is differentiated as a sigmoid",
        places=("at the output",),
        needs=Needs(output=("identity",)),
        seen=(GITHUB + "accord-net/framework/pull/704",),
    ),
    misprint(
        "slope-of-previous",
        "G2",
        lambda pulled_back, a_previous: pulled_back * a_previous * (1 - a_previous),
        "σ′ is that of the layer before {place}",
        needs=Needs(equal_from=0),
        places=("at every layer", "at the output", "at every layer but the first"),
    ),
    misprint(
        "slope-of-two-layers",
        "G2",
        lambda pulled_back, a, a_previous: pulled_back * a * (1 - a_previous),
        "σ′ is a(1 - a) with one a of the layer and one of the layer before {place}",
        needs=Needs(layers=3, equal_from=0),
        places=HIDDEN,
        seen=(GITHUB + "danluu/UFLDL-tutorial/pull/2",),
    ),
    Fault(
        "slope-alone",
        "structure",
        "δ is σ′ alone: it overwrites the error that was pulled back, {place}",
        _overwritten,
        variants=tuple({"place": place} for place in HIDDEN),
        needs=Needs(layers=3),
        seen=(GITHUB + "haifengl/smile/issues/528",),
    ),
    misprint(
        "pulled-back-without-slope",
        "G4",
        lambda pulled_back_next, w_next: pulled_back_next @ w_next.T,
        "the error is pulled back before σ′ is multiplied in: Wᵀe instead of Wᵀδ",
        places=ONCE,
        needs=Needs(layers=3),
        seen=("https://stackoverflow.com/questions/53287032",),
    ),
    misprint(
        "weight-not-transposed",
        "G4",
        lambda delta_next, w_next: delta_next @ w_next,
        "δ is pulled back through W instead of its transpose {place}",
        places=HIDDEN,
        needs=Needs(layers=3, equal_from=1),
        seen=(GITHUB + "nntile/nntile/pull/433",),
    ),
    misprint(
        "weight-of-wrong-layer",
        "G4",
        lambda delta_next, w: delta_next @ w.T,
        "δ is pulled back through the weights of the layer that it goes to",
        places=ONCE,
        needs=Needs(layers=3, equal_from=0),
        seen=(GITHUB + "benoitfragit/libBrain/issues/80",),
    ),
    Fault(
        "weights-updated",
        "structure",
        "δ is pulled back through weights that were already updated, with step {rate}",
        _updated_weights,
        variants=tuple({"rate": rate} for rate in STEPS),
        natural=tuple({"rate": rate} for rate in STEPS_SEEN),
        needs=Needs(layers=3),
        seen=(
            GITHUB + "joelgrus/data-science-from-scratch/issues/31",
            GITHUB + "kim-marcel/basic_neural_network/issues/7",
            GITHUB + "CodingTrain/Toy-Neural-Network-JS/issues/72",
        ),
    ),
    misprint(
        "weights-skipped",
        "G4",
        lambda delta_next: delta_next,
        "δ is handed back without the weights {place}",
        places=HIDDEN,
        needs=Needs(layers=3, equal_from=1),
    ),
    misprint(
        "pulled-back-through-product",
        "G4",
        lambda delta_next, a: delta_next @ (a.T @ delta_next).T,
        "δ is pulled back through the weights' gradient instead of the weights",
        places=ONCE,
        needs=Needs(layers=3),
        seen=(
            GITHUB + "jcjohnson/pytorch-examples/issues/28",
            "https://community.deeplearning.ai/t/w3-ex-6-assertionerror-wrong-values-for-dw1/402919",
        ),
    ),
    misprint(
        "delta-of-next",
        "G5",
        lambda a_previous, delta_next: a_previous.T @ delta_next,
        "the weights' gradient takes δ of the next layer {place}",
        places=HIDDEN,
        needs=Needs(layers=3, equal_from=1),
    ),
    misprint(
        "activation-of-same-layer",
        "G5",
        lambda a, delta: a.T @ delta,
        "the weights' gradient takes a of its own layer instead of the previous one {place}",
        places=("at every layer", "at the output", "at every layer but the last"),
        needs=Needs(equal_from=0),
        seen=("https://datascience.stackexchange.com/questions/25394",),
    ),
    misprint(
        "gradient-before-slope",
        "G5",
        lambda a_previous, pulled_back: a_previous.T @ pulled_back,
        "the weights' gradient takes the error before σ′ is multiplied in {place}",
        seen=("https://stackoverflow.com/questions/53287032",),
    ),
    misprint(
        "preactivation-for-activation",
        "G5",
        lambda l, network, activations, a_previous, delta: (
            (a_previous if l == 2 else _z_before(l, network, activations)).T @ delta
        ),
        "the weights' gradient takes z of the previous layer instead of its activation",
        places=ONCE,
        needs=Needs(layers=3),
        seen=(GITHUB + "maziarraissi/backprop/issues/1",),
    ),
    Fault(
        "as-printed",
        "structure",
        "the paper's printed equations are followed to the letter (its output layer is linear in "
        "S1 to S3 and a sigmoid in S4 to S6)",
        _printed,
        needs=Needs(layers=3, output=("identity", "sigmoid")),
        seen=("Filler and Menirav, Back Propagation, 2025, S1 to S5",),
    ),
    Fault(
        "forward-linear",
        "structure",
        "the hidden layers' activation is missing in the forward pass",
        _no_activation,
        needs=Needs(layers=3),
    ),
    Fault(
        "forward-without-bias",
        "structure",
        "the biases are missing in the forward pass",
        _no_forward_bias,
        seen=(GITHUB + "deepakcrk/CNN_ForDummies/issues/9",),
    ),
)


def _z_before(l: int, network: Any, activations: Any) -> Any:
    """z of layer l - 1."""
    return preactivation(network.weights[l - 3], activations[l - 3], network.biases[l - 3])
