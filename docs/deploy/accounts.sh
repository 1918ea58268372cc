#!/bin/sh
# Run once by the image of PostgreSQL, when the database is empty: the account of the program, which owns nothing.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set=password="$(cat /run/secrets/app_password)" <<'SQL'
CREATE ROLE study_app LOGIN PASSWORD :'password';
SQL
