"""Graphs of this package run without LangGraph's engine, where nothing would notice."""
