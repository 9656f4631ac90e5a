"""Read by a Python that starts with this directory on its path: modules of a planted bug come from a changed text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from planted_bugs import BUGS, Change  # type: ignore[import-not-found,unused-ignore]

_CHANGES: dict[str, list[Change]] = {}
for _change in BUGS[os.environ["PLANTED_BUG"]]:
    _CHANGES.setdefault(_change.module, []).append(_change)


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        text = self.get_source(fullname)
        assert text is not None
        for change in _CHANGES[fullname]:
            assert text.count(change.before) == 1, f"{change.before!r} stands {text.count(change.before)} times"
            text = text.replace(change.before, change.after)
        return compile(text, f"{self.path} (changed)", "exec")


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _CHANGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
