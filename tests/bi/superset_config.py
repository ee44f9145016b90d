"""Superset as the test of its recipe runs it: everything under one folder, on loopback, with nothing to fetch."""

import os
from pathlib import Path

FOLDER = Path(os.environ["SUPERSET_TEST_FOLDER"])
SECRET_KEY = os.environ["SUPERSET_TEST_SECRET"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{FOLDER / 'superset.db'}"
DATA_DIR = str(FOLDER)
# The test asks the REST API with a token of its own.
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
# No answer may be one of before a publication.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
RATELIMIT_ENABLED = False
FAB_ADD_SECURITY_API = True
