"""Write serve_config.json: Ray's schema of a Serve config, in which unknown fields are refused.

    make .venv/.ray
    .venv/ray/bin/python tests/deploy/schemas/serve_config.py

Ray itself ignores unknown fields.
"""

import json
from pathlib import Path
from typing import Any

LEFT_OUT = ("description", "title", "default", "examples")


def strict(schema: Any) -> Any:
    """Return a schema without descriptions, whose objects have no further properties."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            written[key] = {name: strict(each) for name, each in value.items()}
        elif key not in LEFT_OUT:
            written[key] = strict(value)
    return {**written, "additionalProperties": False} if "properties" in written else written


def main() -> None:
    """Write the file beside this one."""
    from ray.serve.schema import ServeDeploySchema

    schema = strict(ServeDeploySchema.model_json_schema())
    file = Path(__file__).with_name("serve_config.json")
    file.write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
