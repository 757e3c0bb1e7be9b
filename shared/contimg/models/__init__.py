"""The contracts: pydantic models and nothing else. Imports no other part of Contimg but the error tree."""
