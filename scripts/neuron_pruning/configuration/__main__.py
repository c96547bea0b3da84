"""Write what is generated from the config's models, below the current folder.

``PYTHONPATH=scripts python -m neuron_pruning.configuration``
"""

from pathlib import Path

from neuron_pruning.configuration.reference import default_yaml, json_schema, reference_page

GENERATED_FILES = {
    "schemas/config.schema.yaml": json_schema,
    "schemas/config.default.yaml": default_yaml,
    "docs/reference/configuration.md": reference_page,
}

if __name__ == "__main__":
    for name, text in GENERATED_FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text(), encoding="utf-8")
