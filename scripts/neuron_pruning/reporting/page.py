"""From the figures and texts to the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neuron_pruning.reporting.comparison_chart import contender_panels
from neuron_pruning.reporting.evidence import evidence
from neuron_pruning.reporting.leakage import kinship
from neuron_pruning.reporting.panels import figures
from neuron_pruning.reporting.provenance import config_text, data_facts, recipe_text, run_facts
from neuron_pruning.reporting.questions import questions
from neuron_pruning.reporting.results import Results
from neuron_pruning.reporting.sample_images import samples
from neuron_pruning.reporting.summaries import model_summary


def page_context(
    results: Results,
    array: Path,
    benchmarks: Path,
    commit: str,
    tables: Sequence[Mapping[str, Any]],
    audit: Sequence[Mapping[str, Any]],
    faces: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All that the template shows; ``faces``: what was found, where faces are used."""
    config = results.config
    return {
        "config": config,
        "config_text": config_text(config),
        "recipe_text": recipe_text(config["recipes"][config["recipe"]]),
        "data": data_facts(results),
        "models": [model_summary(results, model) for model in results.models],
        "facts": list(run_facts(results.speed, benchmarks, commit)),
        "tables": tables,
        "evidence": evidence(results),
        "kinship": kinship(results.crossings),
        "figures": {**figures(results), "contenders": contender_panels(results)},
        "questions": questions(results),
        "audit": audit,
        "faces": faces,
        "samples": list(samples(results, array)),
    }


def render(template: Path, context: Mapping[str, Any]) -> str:
    """The page; every text from the data is escaped, charts alone are not."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(context)
