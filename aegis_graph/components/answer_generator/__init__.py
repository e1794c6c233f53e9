"""A cited answer from passages."""

from aegis_graph.components.answer_generator.graph import (
    create_answer_generator as create_answer_generator,
)
