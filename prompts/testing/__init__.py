"""Tests of prompts: datasets of cases, run over versions and models."""
