"""Providers: one file per kind, behind the one interface of ``base``."""
