"""Building blocks of the config's models: sections, and types that several of them share."""

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, core_schema

Item = TypeVar("Item")
Other = TypeVar("Other")


class Section(BaseModel):
    """A section of the config. It refuses unknown keys, other types, infinity and NaN.

    The text below a key is its description.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def one_of(names: Iterable[str]) -> GetPydanticSchema:
    """Annotation of a text that is one of some names, where a ``Literal`` would repeat a list."""
    return GetPydanticSchema(lambda _source, _handler: core_schema.literal_schema(list(names)))


def _refuse_repeats(items: list[Hashable]) -> list[Hashable]:
    if len(set(items)) < len(items):
        raise PydanticCustomError("repeated", "must hold every item once")
    return items


UNIQUE = GetPydanticSchema(  # of a list that holds nothing twice
    lambda source, handler: core_schema.no_info_after_validator_function(
        _refuse_repeats, handler(source)
    ),
    lambda schema, handler: {**handler(schema), "uniqueItems": True},
)


def _as_written(value: object, check: ValidatorFunctionWrapHandler) -> object:
    check(value)
    return value


# A whole number stays one: 15 must not become 15.0, which would stand in paths.
AS_WRITTEN = WrapValidator(_as_written)
Positive = Annotated[float, Field(gt=0), AS_WRITTEN]
NotNegative = Annotated[float, Field(ge=0), AS_WRITTEN]
Share = Annotated[float, Field(ge=0, le=1), AS_WRITTEN]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1), AS_WRITTEN]
OpenShare = Annotated[float, Field(gt=0, lt=1), AS_WRITTEN]
Angle = Annotated[float, Field(gt=0, le=90), AS_WRITTEN]
LearningRate = Annotated[float, Field(gt=0, le=1000), AS_WRITTEN]

Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]

Distinct = Annotated[list[Item], UNIQUE]
Some = Annotated[list[Item], Field(min_length=1), UNIQUE]
Pair = Annotated[list[Item], Field(min_length=2, max_length=2)]
Size = Pair[Annotated[int, Field(ge=8)]]  # height and width in pixels that networks can work on

WORD, LIST = "<word>", "<list>"  # in the place of an error, which of two types was meant
WordOrList = Annotated[
    Annotated[Item, Tag(WORD)] | Annotated[Other, Tag(LIST)],
    Discriminator(lambda value: LIST if isinstance(value, list) else WORD),
]

NAME_LENGTH = 100
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _refuse_loops(name: str) -> str:
    if re.search(r"(.+)\1{19}\Z", name):
        raise PydanticCustomError(
            "periodic",
            "must not repeat its end 20 times, which Snakemake takes for an endless loop of jobs",
        )
    return name


# A name that becomes part of paths and of regular expressions: experiment, splits, models, recipes,
# techniques, cuts. It is neither an option, a hidden file nor another folder, and short enough for
# a file name with all that is added to it: `.4194304.partial.technique~NAME.parquet.xxh3`. The
# pattern is Rust's, whose $ is the very end, as \Z in Python.
Name = Annotated[
    str,
    Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH),
    AfterValidator(_refuse_loops),
]


def built_in(entries: Mapping[str, Section]) -> BeforeValidator:
    """Adds the built-in entries to those of a config, which may override single keys of them."""
    below = {name: entry.model_dump() for name, entry in entries.items()}
    return BeforeValidator(lambda given: merged(below, given) if isinstance(given, dict) else given)


def merged(below: Any, above: Any) -> Any:
    """``above`` laid over ``below``, recursively where both are dictionaries."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
