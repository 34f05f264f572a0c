"""validate.py SCHEMA… < DOCUMENT: holds a JSON document against the first schema; the others are those that it points to. Says what does not hold."""

import json
import pathlib
import sys

from jsonschema import RefResolver, _validators, validators

# Debian 12's sorts what may be no text, and fails.
_validators.extras_msg = lambda extras: (", ".join(map(repr, extras)), "were")

schemas = [json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]]
store = {schema["$id"]: schema for schema in schemas}
# A reference by the name of a file is looked up beside the schema's own address.
base = schemas[0]["$id"].rsplit("/", 1)[0]
store.update({f"{base}/{pathlib.Path(path).name}": schema for path, schema in zip(sys.argv[1:], schemas)})
kind = validators.validator_for(schemas[0])
kind.check_schema(schemas[0])
validator = kind(schemas[0], resolver=RefResolver(schemas[0]["$id"], schemas[0], store=store), format_checker=kind.FORMAT_CHECKER)
errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in validator.iter_errors(json.load(sys.stdin))]
print("\n".join(errors[:50]))
sys.exit(1 if errors else 0)
