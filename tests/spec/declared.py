"""What a block declares of a class, held against the class that is there."""

from __future__ import annotations

import ast
import inspect

from tests.spec.blocks import BLOCKS


def find_classes(number: int) -> dict[str, ast.ClassDef]:
    body = ast.parse(BLOCKS[number].text).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def find_methods(declared: ast.ClassDef) -> list[ast.FunctionDef]:
    return [node for node in declared.body if isinstance(node, ast.FunctionDef)]


def find_attributes(declared: ast.ClassDef) -> set[str]:
    annotated = [node.target for node in declared.body if isinstance(node, ast.AnnAssign)]
    return {target.id for target in annotated if isinstance(target, ast.Name)}


def check_accepted(owner: type, declared: ast.ClassDef) -> None:
    """Every method takes the shortest and the longest call that its declaration allows."""
    methods = find_methods(declared)
    assert methods
    for method in methods:
        signature = inspect.signature(getattr(owner, method.name))
        # The declared `cls` is bound already, `self` is the first argument.
        positional = [argument.arg for argument in method.args.args]
        positional = positional[1:] if method.decorator_list else positional
        required = positional[: len(positional) - len(method.args.defaults)]
        signature.bind(*required)
        signature.bind(*positional, **{argument.arg: None for argument in method.args.kwonlyargs})
