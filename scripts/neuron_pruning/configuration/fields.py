"""Building blocks of the config's models: sections, and types that several of them share."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Section(BaseModel):
    """A section of the config. It refuses unknown keys, other types, infinity and NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OneOf:
    """Annotation of a text that is one of some names, where a ``Literal`` would repeat a list."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(self.names)


class Unique:
    """Annotation of a list that holds nothing twice."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_refuse_repeats, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "uniqueItems": True}


def _refuse_repeats(items: list[Hashable]) -> list[Hashable]:
    if len(set(items)) < len(items):
        raise PydanticCustomError("repeated", "must hold every item once")
    return items


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

Count = Annotated[int, Field(ge=1)]
Counts = Annotated[list[Count], Field(min_length=1), Unique()]
Seed = Annotated[int, Field(ge=0)]
Names = Annotated[list[str], Unique()]
SomeNames = Annotated[list[str], Field(min_length=1), Unique()]
Key = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_]*$")]
# Height and width in pixels that networks can work on.
Size = Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=2, max_length=2)]


def built_in(entries: Mapping[str, Section]) -> BeforeValidator:
    """Adds the built-in entries to those of a config, which may override single keys of them."""

    def merge(given: object) -> object:
        if not isinstance(given, dict):
            return given
        kept = {
            name: merged(entry.model_dump(), given[name]) if name in given else entry
            for name, entry in entries.items()
        }
        return {**kept, **{name: value for name, value in given.items() if name not in kept}}

    return BeforeValidator(merge)


def merged(below: dict[str, Any], above: Any) -> Any:
    """``above`` laid over ``below``, recursively where both are dictionaries."""
    if not isinstance(above, dict):
        return above
    both = {
        key: merged(below[key], value) if isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
    return {**below, **both}
