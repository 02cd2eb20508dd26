#!/usr/bin/env bash
# The database's password comes from a secret and stands in the environment, where no other user of the host sees it.
set -euo pipefail
password=$(cat "${CELLMARK_DATABASE_PASSWORD_FILE:-/run/secrets/postgres_password}")
export MLFLOW_BACKEND_STORE_URI="postgresql+psycopg://mlflow:${password}@${CELLMARK_DATABASE_HOST:-postgres}/mlflow"
# Artifacts go through the server, so that neither the service nor who trains needs the object store's credentials.
exec mlflow server --host 0.0.0.0 --port 5000 --workers 2 --artifacts-destination s3://mlflow
