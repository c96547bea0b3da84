#!/bin/sh
# One MLflow server for a team: runs in PostgreSQL, artifacts in a folder that it hands out itself.
# All that it needs are environment variables, which MLflow reads by these names: a password on a
# command line could be read by all users of the machine.
#
#   MLFLOW_BACKEND_STORE_URI      postgresql://user:password@host/database; the database is empty
#                                 at first, the server makes its tables
#   MLFLOW_ARTIFACTS_DESTINATION  folder (or s3://bucket/prefix) of the small files of each run
#   MLFLOW_HOST                   address to listen on; 127.0.0.1 unless set, 0.0.0.0: all
#   MLFLOW_PORT                   5000 unless set
#   MLFLOW_WORKERS                processes that answer; 4 unless set
#   MLFLOW_SERVER_ALLOWED_HOSTS   names under which others reach it, where MLFLOW_HOST is not local
set -eu
: "${MLFLOW_BACKEND_STORE_URI:?is not set: postgresql://user:password@host/database}"
: "${MLFLOW_ARTIFACTS_DESTINATION:?is not set: a folder that the server may write}"
export MLFLOW_BACKEND_STORE_URI MLFLOW_ARTIFACTS_DESTINATION
export MLFLOW_HOST="${MLFLOW_HOST:-127.0.0.1}" MLFLOW_PORT="${MLFLOW_PORT:-5000}"
export MLFLOW_WORKERS="${MLFLOW_WORKERS:-4}"
export MLFLOW_DISABLE_TELEMETRY=true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # of language models; not needed here
exec "${MLFLOW:-mlflow}" server
