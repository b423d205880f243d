"""Shapes of what people pickle. Run by each interpreter: prints {shape: pickle in hex} of all of them as JSON."""

import asyncio
import functools
import json
import math
import sys
from contextlib import suppress

import cloudpickle

WEIGHTS = [0.25, 0.5]
FEATURES = ["feature_one_two", "feature_three_four"]


def plain(live_features, live_benchmark_models):
    return live_features[FEATURES].mean(axis=1).rank(pct=True).to_frame("prediction")


def make_closure(scale, names):
    def predict(live_features):
        return live_features[names] * scale

    return predict


def with_inner(live_features):
    def half(column):
        return column / 2

    total = 0
    for name in FEATURES:
        total += half(live_features[name])
    return total


def comprehension(live_features):
    return [live_features[name] for name in FEATURES if name.startswith("feature")]


def dict_and_set(live_features):
    return {name: len(name) for name in FEATURES}, {name[0] for name in FEATURES}


def generator(live_features):
    for name in FEATURES:
        yield live_features[name]


async def coroutine(live_features):
    await asyncio.sleep(0)
    return live_features


def tries(live_features):
    try:
        import missing_package

        return missing_package.run(live_features)
    except ImportError:
        return None


def uses_with(path):
    with suppress(OSError), path.open() as file:
        return file.read()
    return None


def formats(name):
    return f"{name}: {len(name)!r} {math.pi:.2f}"


def defaults(live_features, *columns, scale=2.0, **rest):
    return live_features, columns, scale, rest


def conditions(value):
    if value is None:
        return 0
    if value > 3 or value < -3:
        value = -value
    elif not value:
        value += 1
    return value if value else 1


def loops(count):
    while count > 0:
        count -= 1
        if count == 5:
            continue
        if count == 2:
            break
    return count


def matches(value):
    match value:
        case {"kind": kind, **rest}:
            return kind, rest
        case [first, *_]:
            return first
        case _:
            return None


def walrus(values):
    return [root for value in values if (root := math.sqrt(value)) > 1]


def recursion(count):
    return 1 if count < 2 else count * recursion(count - 1)


def docstring_only():
    """Nothing."""


def identity(value):
    return value


def add(left, right):
    return left + right


def returns_constant():
    return 5


def unpacks(pair):
    (left, right), rest = pair, {**pair}
    left.attribute, rest["key"] = right, left
    return left @ right, not rest, [*pair], -left


def decorated(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class Callable_:
    def __init__(self, weights):
        self.weights = weights

    def __call__(self, live_features, live_benchmark_models):
        return live_features.dot(self.weights)


class Base:
    kind = "base"

    @property
    def name(self):
        return self.kind + "!"

    @classmethod
    def make(cls):
        return cls()


class Derived(Base):
    def predict(self, live_features):
        return super().make(), live_features


SHAPES = {
    "plain": plain,
    "closure": make_closure(2.0, FEATURES),
    "inner function": with_inner,
    "comprehension": comprehension,
    "dict and set": dict_and_set,
    "generator": generator,
    "coroutine": coroutine,
    "try": tries,
    "with": uses_with,
    "f-string": formats,
    "defaults": defaults,
    "conditions": conditions,
    "loops": loops,
    "match": matches,
    "walrus": walrus,
    "recursion": recursion,
    "docstring only": docstring_only,
    "identity": identity,
    "add": add,
    "constant": returns_constant,
    "unpacks": unpacks,
    "decorated": decorated(plain),
    "lambda": lambda live_features: live_features.rank(pct=True),
    "lambda identity": lambda value: value,
    "lambda constant": lambda: None,
    "lambda list": [lambda value: value + 1, lambda value: value * 2],
    "f-string lambda": lambda value: f"{value}",
    "callable object": Callable_(WEIGHTS),
    "class": Base,
    "derived": Derived(),
    "bound method": Derived().predict,
    "partial": functools.partial(plain, live_benchmark_models=None),
    "dict of functions": {"a": plain, "b": add},
}

if __name__ == "__main__":
    json.dump({name: cloudpickle.dumps(shape).hex() for name, shape in SHAPES.items()}, sys.stdout)
