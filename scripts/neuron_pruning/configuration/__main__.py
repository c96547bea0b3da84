"""Check config files, merged in their order, without running what stands in them.

``PYTHONPATH=scripts python -m neuron_pruning.configuration FILE...``; without a file, write what is
generated from the config's models, below the current folder.
"""

import sys
from pathlib import Path
from typing import Any

from neuron_pruning.configuration.fields import merged
from neuron_pruning.configuration.reference import default_yaml, json_schema, reference_page
from neuron_pruning.configuration.validation import check_comparison, check_config, read_config
from neuron_pruning.core.errors import UserError

GENERATED_FILES = {
    "schemas/config.schema.yaml": json_schema,
    "schemas/config.default.yaml": default_yaml,
    "docs/reference/configuration.md": reference_page,
}


def main(files: list[str]) -> str | None:
    """Check ``files``, or generate; returns the error, if there is one."""
    config: dict[str, Any] = {}
    try:
        for file in files:
            config = merged(config, read_config(Path(file)))
        check_config(config)
        check_comparison(config)
    except UserError as error:
        return str(error)
    for name, text in () if files else GENERATED_FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text(), encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
