"""What grayctl -o json writes, held against the published schema."""
import json

import jsonschema

from harness import SOURCE

SCHEMA = json.loads((SOURCE / "docs/schema/grayctl-v1.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def check(document, verb):
    """It fits the schema, and says which verb it was."""
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in VALIDATOR.iter_errors(document)]
    assert not errors and document["kind"] == verb, (verb, errors, document)
