"""Importing this module makes every kind of expression known to ``expressions.translate``."""

from __future__ import annotations

from helios_cli.engine.sql import calls, expressions, parts, predicates, sublinks, value_functions, xml_calls

MODULES = (expressions, predicates, calls, sublinks, parts, value_functions, xml_calls)
"""The modules that fill ``expressions.TRANSLATORS`` when they are imported."""
