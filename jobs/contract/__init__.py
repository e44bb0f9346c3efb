"""What an answer must be: JSON Schema in, a Pydantic model and plain problems out; what cannot be held is refused."""

from jobs.contract.contract import MAX_FINDINGS, Contract
from jobs.contract.fields import FlatField, schema_from_fields
from jobs.contract.findings import Finding
from jobs.contract.spot import Spot
from jobs.contract.strict import StrictSchema

__all__ = ["MAX_FINDINGS", "Contract", "Finding", "FlatField", "Spot", "StrictSchema", "schema_from_fields"]
