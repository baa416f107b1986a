"""Modules of Modal's package that are no rooms of volfs: ``import volfs.functions``.

``volfs.__path__`` leads here, so that ``volfs.functions`` is found without a file in the top
folder. The modules only name things that are defined elsewhere, because a program that has volfs
as ``modal`` in ``sys.modules`` imports them a second time. Type checkers find them as the stub
package ``volfs-stubs``, which is this folder by another name (pyproject.toml).
"""
