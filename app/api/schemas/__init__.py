"""The pydantic models of requests and responses, as OpenAPI shows them."""
