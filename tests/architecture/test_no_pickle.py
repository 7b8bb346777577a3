"""No pickle is ever read from a file: whoever hands over an image, a model or a run cannot run anything with it."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)

SOURCE = Path(__file__).parents[2] / "src" / "scorefold"

READERS_OF_PICKLES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "torch",
}
"""Modules that nothing but the checks below may import."""

OUR_OWN_BYTES = {"testing/analyzer_tests.py"}
"""Modules that pickle in memory what they then read, to prove that it can be sent to a worker."""

CODE_FROM_TEXT = {"eval", "exec", "compile", "__import__"}


def problems(tree):
    """Yield what in a module might run code that a file brings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        else:
            names = []
        yield from (f"line {node.lineno}: imports {name}" for name in names if name in READERS_OF_PICKLES)
        if isinstance(node, ast.Call):
            yield from _problems_of_call(node)


def _problems_of_call(node):
    called = ast.unparse(node.func)
    last = called.rsplit(".", 1)[-1]
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    safe = isinstance(given.get("allow_pickle"), ast.Constant) and given["allow_pickle"].value is False
    # `read_array` is also what reads an array of a run's store.
    numpy_load = called in ("np.load", "numpy.load") or (last == "read_array" and "format" in called)
    if numpy_load and not safe:
        yield f"line {node.lineno}: {called} without allow_pickle=False"
    if last in ("read_pickle", "to_pickle", "find_class", "unsafe_load", "full_load"):
        yield f"line {node.lineno}: {called}"
    if last == "load" and called.startswith("yaml"):
        yield f"line {node.lineno}: {called}; safe_load reads no objects"
    if called in CODE_FROM_TEXT:
        yield f"line {node.lineno}: {called}"


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix()
)
def test_a_module_reads_no_pickle_and_runs_no_text(path):
    if path.relative_to(SOURCE).as_posix() in OUR_OWN_BYTES:
        return
    assert list(problems(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "import torch.serialization",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.lib.format.read_array(file)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_the_check_finds_what_it_is_for(text):
    assert len(list(problems(ast.parse(text)))) == 1
