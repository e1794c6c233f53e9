"""Which types of entities and relations an extraction may give."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aegis_graph.errors import ConfigError

Label = Annotated[str, Field(min_length=1, max_length=200)]

ANY = "*"
"""In a triple: any type."""


def _triple(value: Any) -> Any:
    return (ANY, value, ANY) if isinstance(value, str) else value


Triple = Annotated[tuple[Label, Label, Label], BeforeValidator(_triple)]


class RelationSchema(BaseModel):
    """The allowed types: of entities, and of relations between which types of entities.

    Labels are compared without regard to capitals, spaces, hyphens and underscores, and come out as
    they are written here.

    Example:
        >>> schema = RelationSchema(
        ...     entity_types=("Person", "City"), relations=[("Person", "BORN_IN", "City"), "KNOWS"]
        ... )
        >>> schema.relation("person", "born in", "city"), schema.relation("City", "BORN_IN", "City")
        ('BORN_IN', None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_types: tuple[Label, ...] = ()
    """The types of entities; where there are none, those of the triples, else any."""
    relations: tuple[Triple, ...] = ()
    """``(head type, relation, tail type)``, where ``*`` is any type, or a relation's name alone;
    any relation where there are none."""
    strict: bool = True
    """Whether to drop, and count, what is not listed; else the lists are a guide for the model."""

    @classmethod
    def of(cls, value: RelationSchema | dict[str, Any] | None) -> RelationSchema:
        """A schema from one, from its JSON, or from nothing.

        Raises:
            ConfigError: It is none.
        """
        try:
            return cls.model_validate(value or {})
        except ValidationError as error:
            # One line, without pydantic's links: it may reach a terminal.
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the schema"
            raise ConfigError(f"schema: {where}: {first['msg']}") from error

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities, from both lists."""
        ends = [end for head, _, tail in self.relations for end in (head, tail) if end != ANY]
        return self.entity_types or tuple(dict.fromkeys(ends))

    @property
    def relation_names(self) -> tuple[str, ...]:
        """The relations' names."""
        return tuple(dict.fromkeys(name for _, name, _ in self.relations))

    def entity_type(self, label: str) -> str | None:
        """A type as it is written here, or ``None`` where it is not allowed."""
        known = {key(one): one for one in self.types}
        if key(label) in known:
            return known[key(label)]
        return None if self.strict and known else label.strip()

    def relation(self, head_type: str, label: str, tail_type: str) -> str | None:
        """A relation as it is written here, or ``None`` where it is not allowed."""
        if not key(label):
            return None
        named = [triple for triple in self.relations if key(triple[1]) == key(label)]
        if any(_fits(head, head_type) and _fits(tail, tail_type) for head, _, tail in named):
            return named[0][1]
        if self.strict and self.relations:
            return None
        # Not strict: as the list writes it, whatever the types of the two ends are.
        return named[0][1] if named else label.strip()


def key(label: str) -> str:
    """A label without what is a matter of taste."""
    return re.sub(r"[\s_\-]+", "", label).casefold()


def _fits(allowed: str, label: str) -> bool:
    return allowed == ANY or key(allowed) == key(label)
